import { limitPerKey } from 'testdb/locks'
import { createPool } from 'testdb/pools'

/**
 * What the application shares. Of 10 connections 8 are for requests: the limit lets as many work at once, the others wait without one,
 * in their order. So there is always one for what is not a request, and the pool is never the place where requests wait.
 */
export function createServices({ poolMax = 10, requestsAtOnce = 8, connectionTimeoutMs = 5_000 } = {}) {
  const pool = createPool({ max: poolMax, connectionTimeoutMs, applicationName: 'shop' })
  return { pool, limit: limitPerKey({ max: requestsAtOnce }), close: () => pool.end() }
}
