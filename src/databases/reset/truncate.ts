/**
 * `truncate`: one TRUNCATE of the tables that have rows, then the seeds from copies that the template carries.
 *
 * Tables are found by their size on disk, so the cost grows with the tables that were ever written to, not with the
 * schema. Sequences are put back one by one where they moved, because nextval() is not undone by a rollback and a seeded
 * table's sequence does not start at its first value. A materialized view that was refreshed is refreshed again.
 *
 * Left as it is: DDL, large objects, tables that belong to an extension.
 */
import { withoutLateWork } from './late-work.ts'
import { ONE_DATABASE, type Reach } from './reach.ts'
import type { ResetStrategy } from './strategy.ts'
import { installCopies, TRUNCATE_FUNCTION, truncateFunctions } from './truncate-sql.ts'

export const truncateReset: ResetStrategy = truncateIn(ONE_DATABASE)

export function truncateIn(reach: Reach): ResetStrategy {
  return {
    name: 'truncate',
    sql: reach === ONE_DATABASE ? TRUNCATE_FUNCTION : truncateFunctions(reach),
    leavesClean: true,

    async install(session, { bookkeeping }) {
      await session.query(installCopies(reach), [JSON.stringify(bookkeeping)])
    },

    async reset(database, { after }) {
      await withoutLateWork(database, after, () => database.session.query(`select ${reach.home}.truncate()`))
    },

    // The copies fill unlogged tables, too.
    recover: async () => undefined,
  }
}
