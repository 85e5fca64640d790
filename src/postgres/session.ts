/**
 * One pinned connection. Everything that must die with its process (a lead, a run, a lease) hangs on a `Session`: the
 * server frees its locks when the connection ends, whatever the process was doing.
 */
import { clearTimeout, setTimeout } from 'node:timers'
import pg from 'pg'
import { TestDbError } from '../errors.ts'
import { markOwn } from './own.ts'
import { whileServerIsFull } from './patience.ts'
import { configure, localMajorOf, type SessionOptions } from './session-settings.ts'
import { endsConnection, isSqlState } from './sqlstate.ts'
import { type ConnectionTarget, describeTarget } from './target.ts'
import { wireOf } from './wire.ts'

/** The end of a connection follows its last error at once; after this something else is wrong (ms). */
const END_FOLLOWS_MS = 2_000

/** How long coordination waits while strays are being refused (ms): far longer than that takes, shorter than a runner's patience. */
const FULL_PATIENCE_MS = 5_000

export interface Notification {
  readonly channel: string
  readonly payload: string
}

/** One statement's result; `rowCount` is null for statements that count nothing. */
export interface QueryResult<R> {
  readonly rows: R[]
  readonly rowCount: number | null
}

export class Session implements AsyncDisposable {
  readonly target: ConnectionTarget
  /** Aborts when the connection ends without `close()`; its reason is a `TESTDB_SERVER_LOST` error. */
  readonly lost: AbortSignal
  readonly #client: pg.Client
  #closing = false
  #background = false
  #running = 0
  #last: Promise<unknown> = Promise.resolve()
  /** As the server says after each statement: `I` outside of transactions. */
  #status = 'I'
  readonly #localMajor: () => number | undefined
  #looking: Promise<unknown> = Promise.resolve()

  private constructor(target: ConnectionTarget, client: pg.Client, lost: AbortController) {
    this.target = target
    this.#client = client
    this.lost = lost.signal
    this.#localMajor = localMajorOf(client, target)
    // Without an error listener a connection that the server ends would take the whole process down.
    let cause: unknown
    client.on('error', (error) => {
      cause ??= error
    })
    wireOf(client).on('readyForQuery', ({ status }) => {
      this.#status = status
    })
    client.on('end', () => {
      if (this.#closing) return
      const what = `the connection to ${describeTarget(target)} ended unexpectedly`
      lost.abort(new TestDbError('TESTDB_SERVER_LOST', what, { cause }))
    })
  }

  /** True when nothing more can be asked: it was closed, or is lost. */
  get ended(): boolean {
    return this.#closing || this.lost.aborted
  }

  /** What it was opened with, also where the driver has found that in the environment or in a password file. */
  get password(): string | undefined {
    return (this.#client as pg.Client & { password?: string | null }).password ?? this.target.password
  }

  /** Process id of the backend on the server. */
  get backendPid(): number {
    return (this.#client as pg.Client & { processID: number }).processID
  }

  /** Opens a connection; throws what the driver throws, so callers can tell a wrong password from a missing database. */
  static async open(target: ConnectionTarget, options: SessionOptions): Promise<Session> {
    const session = await whileServerIsFull(options.fullPatienceMs ?? FULL_PATIENCE_MS, () =>
      Session.#connect(target, options),
    )
    try {
      await session.#configure(options)
      for (const [name, value] of Object.entries(options.settings ?? {})) {
        await session.query('select set_config($1, $2, false)', [name, value])
      }
    } catch (error) {
      await session.close()
      throw error
    }
    return session
  }

  /**
   * A database may have a time limit that is shorter than the first statement of a new backend takes, which is the one that lifts it.
   * The second time everything it needs is in memory.
   */
  async #configure({ neutral = false, begin = '' }: SessionOptions): Promise<void> {
    const batch = configure({ neutral, localMajor: this.#localMajor() }) + begin
    try {
      await this.batch(batch)
    } catch (error) {
      if (!isSqlState(error, 'queryCanceled')) throw error
      await this.batch(batch)
    }
  }

  static async #connect(target: ConnectionTarget, options: SessionOptions): Promise<Session> {
    const { applicationName: application_name, connectTimeoutMs: connectionTimeoutMillis = 10_000 } = options
    const config = { ...target, application_name, connectionTimeoutMillis, keepAlive: true }
    const client = new pg.Client(config as pg.ClientConfig)
    markOwn(client)
    markOwn(wireOf(client).stream)
    // Before connecting: the server may end a connection in the moment in which it is made.
    const session = new Session(target, client, new AbortController())
    await client.connect()
    return session
  }

  async query<R = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    const { rows, rowCount } = await this.#run(() =>
      values.length === 0 ? this.#client.query(text) : this.#client.query(text, values as unknown[]),
    )
    return { rows: rows as R[], rowCount }
  }

  /** As `query`, for an observer: undefined while a transaction is open, which it could break or be told old news by. */
  async look<R>(text: string): Promise<R[] | undefined> {
    return await this.#run(async () => {
      if (this.#status !== 'I' || this.#closing) return undefined
      const result = this.#client.query(text)
      this.#looking = result.catch(() => undefined)
      return (await result).rows as R[]
    })
  }

  /** Runs several statements in one round trip and one transaction, each with a snapshot of its own; takes no parameters. */
  async batch(text: string): Promise<QueryResult<Record<string, unknown>>[]> {
    // The driver gives an array when there was more than one statement.
    const results = await this.#run(async () => (await this.#client.query(text)) as pg.QueryResult | pg.QueryResult[])
    return [results].flat()
  }

  async #run<T>(run: () => Promise<T>): Promise<T> {
    if (this.lost.aborted) throw this.lost.reason
    if (this.#running++ === 0 && this.#background) this.#keepAlive(true)
    try {
      return await this.#enqueue(run)
    } catch (error) {
      if (!this.#closing && (this.#isBroken() || endsConnection(error))) await this.#untilLost()
      throw this.lost.aborted ? this.lost.reason : error
    } finally {
      if (--this.#running === 0 && this.#background) this.#keepAlive(false)
    }
  }

  /** True between the first sign of a lost connection and its end. */
  #isBroken(): boolean {
    return (this.#client as pg.Client & { _queryable: boolean })._queryable === false
  }

  async #untilLost(): Promise<void> {
    if (this.lost.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, END_FOLLOWS_MS)
      this.lost.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** One statement after the other: the driver deprecates its own queue. */
  #enqueue<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run)
    this.#last = result.catch(() => undefined)
    return result
  }

  /** Runs `body` in a transaction: commits when it returns, rolls back when it throws. */
  async transaction<T>(body: () => Promise<T>): Promise<T> {
    // Not what the database or the role may have as their default: our protocols rely on it.
    await this.query('begin isolation level read committed, read write')
    try {
      const result = await body()
      await this.query('commit')
      return result
    } catch (error) {
      // The first error is the one that matters; a rollback that fails means that the connection is gone anyway.
      await this.query('rollback').catch(() => undefined)
      throw error
    }
  }

  /** Calls `listener` for every notification that this session receives; returns the function that ends it. */
  onNotification(listener: (notification: Notification) => void): () => void {
    const onMessage = (message: pg.Notification): void => {
      listener({ channel: message.channel, payload: message.payload ?? '' })
    }
    this.#client.on('notification', onMessage)
    return () => void this.#client.off('notification', onMessage)
  }

  /** From now on the process may exit although this connection is open; a running query still keeps it alive. */
  unref(): void {
    this.#background = true
    if (this.#running === 0) this.#keepAlive(false)
  }

  /** True when this connection does not keep the process alive. */
  get inBackground(): boolean {
    return this.#background
  }

  #keepAlive(on: boolean): void {
    const { stream } = wireOf(this.#client)
    if (on) stream.ref?.()
    else stream.unref?.()
  }

  /** Ends the connection; its locks are free when this resolves. Never throws. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    // The driver cuts a connection that is busy, which the server learns later; and the process is to wait for the end.
    this.#background = false
    this.#keepAlive(true)
    await this.#looking
    await this.#client.end().catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
