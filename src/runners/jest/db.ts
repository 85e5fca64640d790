/**
 * `testdb/jest/db`: the database of the test file, for tests that want more than the environment; with `server: { kind: 'pg-mem' }`
 * the only way to it.
 */
import type { Database } from '../../databases/database.ts'
import { TestDbError } from '../../errors.ts'
import { currentDatabase } from '../worker.ts'

/**
 * The database that the present test works with; put back after each test and released by testdb.
 *
 * Throws `TESTDB_RUN_MISSING` outside of Jest, and with `scope: 'test'` outside of a test.
 *
 * @example
 * import { db } from 'testdb/jest/db'
 * test('starts empty', async () => {
 *   const { rows } = await db().query('select count(*)::int as n from users')
 *   expect(rows).toEqual([{ n: 0 }])
 * })
 */
export function db(): Database {
  const database = currentDatabase()
  if (database) return database
  throw new TestDbError('TESTDB_RUN_MISSING', 'no database has been leased for this file or test')
}
