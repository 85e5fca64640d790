import { createAdvisoryLocks, limitPerKey } from 'testdb/locks'
import { createPool } from 'testdb/pools'

/** What the application shares: one capped pool for all work, locks on connections of their own, a limit per tenant. */
export function createServices({ poolMax = 8, lockMax = 4, perTenant = 5, maxWaiting = 20 } = {}) {
  const pool = createPool({ max: poolMax, connectionTimeoutMs: 10_000, applicationName: 'work' })
  const locks = createAdvisoryLocks({ max: lockMax, applicationName: 'locks' })
  return {
    pool,
    locks,
    limit: limitPerKey({ max: perTenant, maxWaiting }),
    // In the order of use: who holds a lock may still need the pool.
    async close() {
      await locks.close()
      await pool.end()
    },
  }
}
