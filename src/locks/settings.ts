/** What the locks can be told, and from where. */
import {
  type CommonOptions,
  MOST_CONNECTIONS,
  MOST_MS,
  type NumberSetting,
  type PoolSettings,
  readSettings,
} from '../pools/settings.ts'

// Source: DESIGN 7. A section that does nothing for half a minute, or a lock that is not had in that time, is a fault and not a
// busy day; it must end well before the minute after which most load balancers give up.
const SETTINGS = {
  max: { env: 'DATABASE_LOCK_POOL_MAX', fallback: 10, most: MOST_CONNECTIONS, unit: 'connections' },
  connectionTimeoutMs: { env: 'DATABASE_POOL_CONNECTION_TIMEOUT_MS', fallback: 10_000, most: MOST_MS, unit: 'ms' },
  idleTimeoutMs: { env: 'DATABASE_POOL_IDLE_TIMEOUT_MS', fallback: 30_000, most: MOST_MS, unit: 'ms' },
  lockTimeoutMs: { env: 'DATABASE_LOCK_TIMEOUT_MS', fallback: 30_000, most: MOST_MS, unit: 'ms' },
  idleInTransactionMs: { env: 'DATABASE_LOCK_IDLE_TX_TIMEOUT_MS', fallback: 30_000, most: MOST_MS, unit: 'ms' },
} as const satisfies Record<string, NumberSetting>

export interface AdvisoryLocksOptions extends CommonOptions {
  /** Connections of the lock pool at most: different keys that this process can hold at once. @default DATABASE_LOCK_POOL_MAX, or 10 */
  readonly max?: number | undefined
  /** Milliseconds to wait for one of them. @default DATABASE_POOL_CONNECTION_TIMEOUT_MS, or 10000 */
  readonly connectionTimeoutMs?: number | undefined
  /** Milliseconds an unused one stays open. @default DATABASE_POOL_IDLE_TIMEOUT_MS, or 30000 */
  readonly idleTimeoutMs?: number | undefined
  /** Milliseconds to wait for a lock (`lock_timeout` of the server). @default DATABASE_LOCK_TIMEOUT_MS, or 30000 */
  readonly lockTimeoutMs?: number | undefined
  /**
   * Milliseconds that a section may take: the server ends it then (`idle_in_transaction_session_timeout`). Taking or ending a
   * nested lock starts the time again. @default DATABASE_LOCK_IDLE_TX_TIMEOUT_MS, or 30000
   */
  readonly idleInTransactionMs?: number | undefined
}

export type LockSettings = PoolSettings<keyof typeof SETTINGS>

/** @throws TESTDB_CONFIG_INVALID */
export const readLockSettings = (options: AdvisoryLocksOptions): LockSettings =>
  readSettings('createAdvisoryLocks', SETTINGS, options, 'testdb locks')
