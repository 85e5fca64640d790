/**
 * One connection with one transaction that is never committed, for all that works through `db`.
 *
 *   idle ── first use ──► open, BEGIN ──► statements, one unit after the other ── rewind(0) ──► ROLLBACK, idle
 *                            └── the connection is lost: its facades hear of it, the next use opens another one
 *
 * A unit is a statement with the savepoints around it. What the users' own BEGIN and COMMIT become: nesting.ts.
 */
import type pg from 'pg'
import { limitsSql, type PoolLimits } from '../pool.ts'
import { isConnectionLoss } from '../sqlstate.ts'
import type { ConnectionTarget } from '../target.ts'
import { type QueuedConfig, QueuedConnection } from './connection.ts'
import { type Control, controlParts } from './control.ts'
import { FacadeClient, type Shared, type Submittable } from './facade.ts'
import { Nesting } from './nesting.ts'
import { serverError } from './refusals.ts'

/** A class that stands in for `pg.Client`. */
export type ClientClass = new () => pg.ClientBase

export class SharedTransaction implements Shared {
  readonly #connection: QueuedConnection
  readonly #nesting: Nesting
  readonly #facades = new Set<FacadeClient>()
  #begun = false
  /** One for each; who made it knows it again. */
  #checkpoints: object[] = []
  /** How often the state was put back. */
  #rewinds = 0
  /** Who is told what the server says while a statement runs. */
  #current: FacadeClient | undefined

  constructor(target: ConnectionTarget, limits: PoolLimits, applicationName: string) {
    const config: QueuedConfig = {
      ...(target as pg.ClientConfig),
      application_name: applicationName,
      connectionTimeoutMillis: limits.acquireMs,
      // It idles in its transaction as long as a test does something else.
      ...(target.pooled
        ? { begin: limitsSql({ ...limits, idleInTransactionMs: 0 }) }
        : { statement_timeout: limits.statementMs, idle_in_transaction_session_timeout: 0 }),
    }
    this.#connection = new QueuedConnection(
      config,
      (why) => this.#forget(why),
      (notice) => void this.#current?.emit('notice', notice),
    )
    this.#nesting = new Nesting((sql) => this.#connection.send(sql))
  }

  /** What a pool makes its connections of. `types`: the parsers of the user's driver. */
  clientClass(types?: pg.CustomTypesConfig): ClientClass {
    const shared = this
    return class extends FacadeClient {
      constructor() {
        super(shared, types)
      }
    } as unknown as ClientClass
  }

  get backendPid(): number | undefined {
    return this.#connection.backendPid
  }

  /** True while something runs or waits to run. */
  get busy(): boolean {
    return this.#connection.busy
  }

  /** Checkpoints that `rewind` can return to. */
  get level(): number {
    return this.#checkpoints.length
  }

  /** The level that the end of a checkpoint returns to; undefined when it is gone. */
  levelBelow(checkpoint: object): number | undefined {
    return this.#checkpoints.includes(checkpoint) ? this.#checkpoints.indexOf(checkpoint) : undefined
  }

  async attach(facade: FacadeClient): Promise<void> {
    await this.#connection.connect()
    this.#facades.add(facade)
  }

  async detach(facade: FacadeClient): Promise<void> {
    this.#facades.delete(facade)
    await this.#connection
      .enqueue(async () => {
        if (this.#begun && this.#nesting.owners.includes(facade)) await this.#nesting.rollback(facade, false)
      })
      .catch(() => undefined)
  }

  query(facade: FacadeClient, config: unknown, values: unknown): Promise<unknown> {
    const { text, values: own } = (typeof config === 'string' ? { text: config } : config) as pg.QueryConfig
    const bound = ((values ?? own) as unknown[] | undefined)?.length
    const parts = typeof text === 'string' ? controlParts(text) : undefined
    return this.#unit(facade, async (client) => {
      if (!parts || (bound && parts.length > 1)) {
        return await this.#nesting.statement(facade, () => ask(client, renamed(config, this.#rewinds), values))
      }
      const results: unknown[] = []
      for (const part of parts) {
        const one = part.control
          ? await this.#control(facade, part.control)
          : await this.#nesting.statement(facade, () => client.query(part.text))
        results.push(...[one].flat())
      }
      return results.length === 1 ? results[0] : results
    })
  }

  /** It is followed by the end of its savepoint, which the driver sends when it has ended: that shows whether it has failed. */
  submit(facade: FacadeClient, submittable: Submittable): void {
    let given = false
    const unit = this.#unit(facade, (client) =>
      this.#nesting.statement(
        facade,
        async () => {
          given = true
          client.query(submittable as unknown as pg.Query)
        },
        true,
      ),
    )
    unit.catch((error) => {
      if (!given) submittable.handleError?.(error, {})
    })
  }

  /** Remembers the present state. */
  async checkpoint(): Promise<object> {
    return await this.#connection.enqueue(async () => {
      await this.#ready()
      if (this.#nesting.owners.length > 0) throw new Error('a transaction is open on db')
      await this.#connection.send(`savepoint testdb_checkpoint_${this.#checkpoints.length + 1}`)
      const checkpoint = {}
      this.#checkpoints.push(checkpoint)
      return checkpoint
    })
  }

  /**
   * Rolls back to a checkpoint, or everything (0), after all that waits. Facades with an open transaction are lost; gives their number.
   */
  async rewind(level: number): Promise<number> {
    return await this.#connection.enqueue(async () => {
      const { client } = this.#connection
      if (!this.#begun || !client) return 0
      const left = this.#nesting.owners as FacadeClient[]
      // Those of a connection that was lost are gone with it.
      const to = Math.min(level, this.#checkpoints.length)
      try {
        // Statements that were prepared for tables of this test would be wrong for those of the next.
        await client.query(
          to === 0
            ? 'rollback; deallocate all; select pg_catalog.pg_advisory_unlock_all()'
            : `rollback to savepoint testdb_checkpoint_${to}; deallocate all`,
        )
        this.#rewinds++
        this.#checkpoints.length = to
        this.#begun = to > 0
      } catch (error) {
        // With its connection the transaction has gone, too.
        if (!isConnectionLoss(error)) throw error
        this.#checkpoints = []
        this.#begun = false
      }
      this.#nesting.clear()
      const why = new Error('Connection terminated: its transaction was still open when the database was put back')
      for (const facade of left) {
        this.#facades.delete(facade)
        facade.lose(why)
      }
      return left.length
    })
  }

  /** Ends the connection, and with it the transaction, whatever it does. */
  async close(): Promise<void> {
    await this.#connection.close()
  }

  async #control(facade: FacadeClient, control: Control): Promise<pg.QueryResult> {
    const nesting = this.#nesting
    switch (control.kind) {
      case 'begin':
        return await nesting.begin(facade, control.access, control.tag)
      case 'modes':
        return await nesting.modes(facade, control.access)
      case 'commit':
        return await nesting.commit(facade, control.chain)
      case 'rollback':
        return await nesting.rollback(facade, control.chain)
      case 'savepoint':
        return await nesting.savepoint(facade, control.name)
      case 'release':
        return await nesting.release(facade, control.name)
      case 'rollback to':
        return await nesting.rollbackTo(facade, control.name)
      case 'two-phase':
        throw serverError('0A000', `${control.command} is not possible with reset: 'rollback', which could not undo it`)
    }
  }

  async #unit<T>(facade: FacadeClient, work: (client: pg.Client) => Promise<T>): Promise<T> {
    return await this.#connection.enqueue(async () => {
      if (facade.lost) throw facade.lost
      const client = await this.#ready()
      this.#current = facade
      return await work(client)
    })
  }

  async #ready(): Promise<pg.Client> {
    const client = await this.#connection.connect()
    if (!this.#begun) await client.query('begin')
    this.#begun = true
    return client
  }

  #forget(why: Error): void {
    this.#begun = false
    this.#checkpoints = []
    this.#nesting.clear()
    for (const facade of this.#facades) facade.lose(why)
    this.#facades.clear()
  }
}

/** With a callback of ours, because the user's may be in the configuration. */
const ask = (client: pg.Client, config: unknown, values: unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    client.query(config as string, values as unknown[], (error, result) => (error ? reject(error) : resolve(result)))
  })

/** The driver remembers which names it has prepared, and can not be told that they are gone. */
function renamed(config: unknown, rewinds: number): unknown {
  const { name } = config as pg.QueryConfig
  if (typeof name !== 'string' || name === '' || rewinds === 0) return config
  // Configurations of tagged templates have getters of their class.
  const copy = Object.create(Object.getPrototypeOf(config), Object.getOwnPropertyDescriptors(config))
  return Object.defineProperty(copy, 'name', { value: `${name}~${rewinds}`, enumerable: true })
}
