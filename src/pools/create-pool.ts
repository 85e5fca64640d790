/** A capped pool for an application's own work. */
import { openPool, type Pool } from '../postgres/index.ts'
import { type CommonOptions, MOST_CONNECTIONS, MOST_MS, type NumberSetting, readSettings } from './settings.ts'

// Sources: DESIGN 7. The first three are what applications commonly agree on in their environment, and the lock pool shares two
// of them; the others are the caps of testdb's own pools.
const SETTINGS = {
  max: { env: 'DATABASE_POOL_MAX', fallback: 20, most: MOST_CONNECTIONS, unit: 'connections' },
  connectionTimeoutMs: { env: 'DATABASE_POOL_CONNECTION_TIMEOUT_MS', fallback: 10_000, most: MOST_MS, unit: 'ms' },
  idleTimeoutMs: { env: 'DATABASE_POOL_IDLE_TIMEOUT_MS', fallback: 30_000, most: MOST_MS, unit: 'ms' },
  lifetimeMs: { fallback: 30 * 60_000, most: MOST_MS, unit: 'ms' },
  statementTimeoutMs: { fallback: 30_000, most: MOST_MS, unit: 'ms' },
  idleInTransactionMs: { fallback: 60_000, most: MOST_MS, unit: 'ms' },
} as const satisfies Record<string, NumberSetting>

export interface PoolOptions extends CommonOptions {
  /** Connections at most. @default DATABASE_POOL_MAX, or 20 */
  readonly max?: number | undefined
  /** Milliseconds to wait for a free connection. @default DATABASE_POOL_CONNECTION_TIMEOUT_MS, or 10000 */
  readonly connectionTimeoutMs?: number | undefined
  /** Milliseconds an unused connection stays open. @default DATABASE_POOL_IDLE_TIMEOUT_MS, or 30000 */
  readonly idleTimeoutMs?: number | undefined
  /** Milliseconds after which a connection is replaced at its next return. @default 1800000 */
  readonly lifetimeMs?: number | undefined
  /** Milliseconds after which the server cancels a statement. @default 30000 */
  readonly statementTimeoutMs?: number | undefined
  /** Milliseconds after which the server ends a session that idles in a transaction. @default 60000 */
  readonly idleInTransactionMs?: number | undefined
}

/**
 * Makes a `pg.Pool` whose limits are all finite, for the queries of an application; nothing is connected yet.
 *
 * Use it instead of `new Pool()`: a plain one waits for a connection for ever, never ends a hanging statement, and takes the
 * process down when the server ends an idle connection. Locks belong on `createAdvisoryLocks()`, which has a pool of its own.
 *
 * The limits on statements are the server's. The driver's `query_timeout` only stops listening: the query goes on, holds its
 * locks, and its connection is thrown away. A pooler such as PgBouncer must pass `statement_timeout` and
 * `idle_in_transaction_session_timeout` on, or be told to ignore them (`ignore_startup_parameters`).
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once
 * @example
 * import { createPool } from 'testdb/pools'
 *
 * const pool = createPool({ applicationName: 'api' })
 * const { rows } = await pool.query('select now()')
 * await pool.end()
 */
export function createPool(options: PoolOptions = {}): Pool {
  const { target, applicationName, numbers } = readSettings('createPool', SETTINGS, options, 'testdb pool')
  const limits = {
    max: numbers.max,
    acquireMs: numbers.connectionTimeoutMs,
    idleMs: numbers.idleTimeoutMs,
    lifetimeMs: numbers.lifetimeMs,
    statementMs: numbers.statementTimeoutMs,
    idleInTransactionMs: numbers.idleInTransactionMs,
  }
  return openPool(target, limits, applicationName)
}
