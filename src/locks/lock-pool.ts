/** The connections of the locks: a pool of their own, so that nobody who has a lock waits for somebody who waits for it. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { messageOf, TestDbError } from '../errors.ts'
import {
  assertNoTransactionPooling,
  type ConnectionTarget,
  closePool,
  describeTarget,
  isSqlState,
  openPool,
  type Pool,
  type PoolClient,
  Session,
  type SqlLockKey,
  WATCH_CLIENT,
} from '../postgres/index.ts'
import { LockConnection, type WaitLimits } from './connection.ts'
import { connectionTimeout, lockLost, type PoolState } from './lock-errors.ts'
import type { LockSettings } from './settings.ts'

/** How much longer a statement may take than the waiting for a lock in it: `lock_timeout` has to end it first, it says why (ms). */
const STATEMENT_EXTRA_MS = 5_000
/** As in testdb's other pools (ms). */
const LIFETIME_MS = 30 * 60_000
/** How long a connection that was cut is waited for (ms). */
const CUT_MS = 1_000

export class LockPool {
  readonly #settings: LockSettings
  readonly #pool: Pool
  readonly #limits: WaitLimits
  readonly #configured = new WeakSet<PoolClient>()
  readonly #waiting = new Set<(error: unknown) => void>()
  #refusal: unknown
  /** True when it is known that no pooler mixes up our sessions. */
  #direct = false

  constructor(settings: LockSettings) {
    this.#settings = settings
    const { max, connectionTimeoutMs: acquireMs, idleTimeoutMs: idleMs } = settings.numbers
    // 0: not in the start-up packet, where PgBouncer refuses them; see #configure.
    const limits = { max, acquireMs, idleMs, lifetimeMs: LIFETIME_MS, statementMs: 0, idleInTransactionMs: 0 }
    this.#pool = openPool(settings.target, limits, settings.applicationName)
    const { lockTimeoutMs, idleInTransactionMs } = settings.numbers
    this.#limits = { answerMs: lockTimeoutMs + STATEMENT_EXTRA_MS, idleInTransactionMs }
  }

  get state(): PoolState {
    const { totalCount, idleCount } = this.#pool
    const { max } = this.#settings.numbers
    return { max, inUse: totalCount - idleCount, idle: idleCount, waiting: this.#waiting.size }
  }

  /** @throws TESTDB_LOCK_TIMEOUT, TESTDB_LOCK_LOST, TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_UNSUPPORTED */
  async take(key: SqlLockKey): Promise<LockConnection> {
    const startedAt = performance.now()
    let client: PoolClient
    try {
      client = await this.#checkOut()
    } catch (error) {
      throw this.#explain(key, performance.now() - startedAt, error)
    }
    const connection = new LockConnection(client, this.#limits)
    try {
      if (!this.#configured.has(client)) await this.#configure(connection)
      this.#configured.add(client)
      return connection
    } catch (error) {
      connection.giveBack()
      throw connection.lost ? lockLost(key, undefined, connection.cause) : error
    }
  }

  /** Who waits for a connection is told the error; what is given out may come back within the time, then it is cut. */
  async close(error: unknown, graceMs: number): Promise<void> {
    this.#refusal = error
    for (const abandon of [...this.#waiting]) abandon(error)
    await closePool(this.#pool, graceMs)
    // What was cut tells its section so, and the pool when it is gone.
    await closePool(this.#pool, CUT_MS)
  }

  async #checkOut(): Promise<PoolClient> {
    if (this.#refusal) throw this.#refusal
    // A new connection's events would keep the section alive in which it happened to be made.
    const connecting = WITHOUT_CONTEXT(() => this.#pool.connect())
    return await new Promise<PoolClient>((resolve, reject) => {
      let abandoned = false
      const abandon = (error: unknown): void => {
        abandoned = true
        this.#waiting.delete(abandon)
        reject(error)
      }
      this.#waiting.add(abandon)
      connecting
        .then((client) => (abandoned ? client.release() : resolve(client)), reject)
        .finally(() => this.#waiting.delete(abandon))
    })
  }

  /**
   * With SQL and not as start-up parameters, of which a pooler knows only a few. Looks for a pooler first: in transaction mode
   * the settings would go to somebody else's session.
   */
  async #configure(connection: LockConnection): Promise<void> {
    const { target, applicationName, numbers } = this.#settings
    if (!this.#direct) {
      const asked = { backendPid: connection.backendPid, query: <R>(sql: string) => connection.query<R>(sql) }
      await assertNoTransactionPooling(asked, target, () =>
        Session.open(target, { applicationName, connectTimeoutMs: numbers.connectionTimeoutMs }),
      )
      this.#direct = true
    }
    await connection.query(
      `${WATCH_CLIENT};
       select set_config('lock_timeout', '${numbers.lockTimeoutMs}', false),
              set_config('statement_timeout', '${this.#limits.answerMs}', false),
              set_config('idle_in_transaction_session_timeout', '${numbers.idleInTransactionMs}', false)`,
    )
  }

  #explain(key: SqlLockKey, waitedMs: number, error: unknown): unknown {
    const { target } = this.#settings
    const message = messageOf(error)
    if (error instanceof TestDbError) return error
    // The driver has no code for it.
    if (/timeout exceeded when trying to connect|due to connection timeout/.test(message))
      return connectionTimeout(key, waitedMs, this.state, error)
    if (isSqlState(error, 'adminShutdown', 'crashShutdown') || /terminated unexpectedly/.test(message))
      return lockLost(key, undefined, error)
    return unreachable(target, message, error)
  }
}

function unreachable(target: ConnectionTarget, message: string, cause: unknown): TestDbError {
  const { host, port, user, database } = target
  return new TestDbError(
    'TESTDB_SERVER_UNREACHABLE',
    `no connection to ${describeTarget(target)}: ${message || 'unknown reason'}`,
    { details: { host, port, user, database }, cause },
  )
}

/** Runs a function as if it had been called from nowhere. */
const WITHOUT_CONTEXT = AsyncLocalStorage.snapshot()
