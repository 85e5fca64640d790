/** The numbers behind every pool that testdb makes or configures, and the server-side limit that goes with them. */
import type { PoolLimits } from '../postgres/index.ts'

/** Source: the production incidents that testdb answers, pools of no known size that wait without an end (DESIGN 7). */
export const DEFAULT_LIMITS: PoolLimits = {
  max: 10,
  // Fails fast: a test that can not get a connection within seconds has a leak, not a busy day.
  acquireMs: 5_000,
  idleMs: 30_000,
  lifetimeMs: 30 * 60_000,
  statementMs: 30_000,
  idleInTransactionMs: 60_000,
}

/**
 * `CONNECTION LIMIT` of a leased database: two full pools (the application's and the test's) and four more, for testdb's
 * own session, a LISTEN connection, and two that are just leaving.
 */
export const connectionLimit = (poolMax: number): number => 2 * poolMax + 4
