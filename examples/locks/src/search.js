import { isTestDbError } from 'testdb/locks'

/** GET /tenants/:tenant/search: a slow query, of which one tenant may run only a few at once. */
export async function search({ pool, limit }, tenant) {
  try {
    return await limit(tenant, async () => {
      await pool.query('select pg_sleep(0.02)')
      return { status: 200 }
    })
  } catch (error) {
    if (isTestDbError(error) && error.code === 'TESTDB_LIMIT_REACHED') return { status: 429 }
    throw error
  }
}
