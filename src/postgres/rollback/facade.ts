/**
 * What a pool takes for a connection of its own: a `pg.Client` as far as pg.Pool, Knex and their users see one, in front of the one
 * connection that all of them share.
 */
import { EventEmitter } from 'node:events'
import pg from 'pg'
import { controlParts } from './control.ts'
import { serverError } from './refusals.ts'

type Callback = (error: unknown, result?: unknown) => void
type Config = Record<string, unknown> & { text?: unknown; callback?: unknown }

/** A query object that talks to the connection itself: pg-cursor, pg-query-stream, `new pg.Query()`. */
export interface Submittable {
  readonly text?: unknown
  callback?: unknown
  submit(connection: unknown): unknown
  handleError?(error: unknown, connection: unknown): void
}

/** What stands behind the facades. */
export interface Shared {
  readonly backendPid: number | undefined
  attach(facade: FacadeClient): Promise<void>
  /** The end of this facade's connection: what is open is rolled back. */
  detach(facade: FacadeClient): Promise<void>
  query(facade: FacadeClient, config: unknown, values: unknown): Promise<unknown>
  submit(facade: FacadeClient, submittable: Submittable): void
}

export class FacadeClient extends EventEmitter {
  /** The pool looks at these two. */
  _queryable = true
  _ending = false
  readonly #shared: Shared
  #types: pg.TypeOverrides | undefined
  #connected = false
  #lost: Error | undefined

  /** `types`: those of the driver that the user knows, where it is another copy than ours. */
  constructor(shared: Shared, types?: pg.CustomTypesConfig) {
    super()
    this.#shared = shared
    if (types && types !== (pg.types as unknown)) this.#types = new pg.TypeOverrides(types)
  }

  get processID(): number | undefined {
    return this.#shared.backendPid
  }

  /** Why nothing can be asked any more. */
  get lost(): Error | undefined {
    return this.#lost
  }

  isConnected(): boolean {
    return this.#connected
  }

  connect(callback?: Callback): Promise<this> | undefined {
    const connected = this.#shared.attach(this).then(() => {
      this.#connected = true
      return this
    })
    return answer(connected, callback)
  }

  query(config: unknown, values?: unknown, callback?: unknown): unknown {
    if (config === null || config === undefined) throw new TypeError('Client was passed a null or undefined query')
    if (typeof (config as Submittable).submit === 'function') {
      const submittable = config as Submittable
      submittable.callback ??= typeof values === 'function' ? values : callback
      const refused =
        typeof submittable.text === 'string' && controlParts(submittable.text)
          ? serverError(
              '0A000',
              `"${submittable.text}" can not be a query object with reset: 'rollback': give its text to query()`,
            )
          : undefined
      if (refused) process.nextTick(() => submittable.handleError?.(refused, {}))
      else this.#shared.submit(this, submittable)
      return submittable
    }
    const own = (config as Config).callback
    const done = typeof values === 'function' ? values : (callback ?? own)
    if (done !== undefined && typeof done !== 'function') throw new TypeError('callback is not a function')
    const result = this.#shared.query(this, this.#typed(config), typeof values === 'function' ? undefined : values)
    return answer(result, done as Callback | undefined)
  }

  end(callback?: () => void): Promise<void> | undefined {
    this._ending = true
    const ended = this.#shared.detach(this).then(() => this.lose(new Error('Connection terminated')))
    return answer(ended, callback)
  }

  /** The connection behind it is gone, or is not this facade's any more. `error`: what its user hears of it, if it was not the user. */
  lose(why: Error): void {
    if (this.#lost) return
    this.#lost = why
    this._queryable = false
    if (!this._ending && this.listenerCount('error') > 0) this.emit('error', why)
    this.emit('end')
  }

  #typed(config: unknown): unknown {
    if (!this.#types) return config
    if (typeof config === 'string') return { text: config, types: this.#types }
    const object = config as Config
    return object.types === undefined && Object.isExtensible(object)
      ? Object.assign(object, { types: this.#types })
      : config
  }

  setTypeParser(...parser: Parameters<pg.TypeOverrides['setTypeParser']>): void {
    this.#types ??= new pg.TypeOverrides()
    this.#types.setTypeParser(...parser)
  }

  getTypeParser(...which: Parameters<pg.TypeOverrides['getTypeParser']>): unknown {
    return (this.#types ?? new pg.TypeOverrides()).getTypeParser(...which)
  }

  escapeIdentifier(text: string): string {
    return pg.escapeIdentifier(text)
  }

  escapeLiteral(text: string): string {
    return pg.escapeLiteral(text)
  }

  // The shared connection keeps the process alive while it works, and only then.
  ref(): void {}
  unref(): void {}
}

/** The driver's two forms. A callback that throws must not look like a query that failed. */
function answer<T>(result: Promise<T>, callback: Callback | undefined): Promise<T> | undefined {
  if (!callback) {
    return result.catch((error) => {
      // As the driver does: the trace leads to who has asked.
      if (error instanceof Error) Error.captureStackTrace(error)
      throw error
    })
  }
  result.then(
    (value) => process.nextTick(callback, undefined, value),
    (error) => process.nextTick(callback, error),
  )
  return undefined
}
