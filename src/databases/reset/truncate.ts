/**
 * `truncate`: one TRUNCATE of the tables that have rows, then the seeds from copies that the template carries.
 *
 * Tables are found by their size on disk, so the cost grows with the tables that were ever written to, not with the
 * schema. Sequences are put back one by one where they moved, because nextval() is not undone by a rollback and a seeded
 * table's sequence does not start at its first value. A materialized view that was refreshed is refreshed again.
 *
 * Left as it is: DDL, large objects, tables that belong to an extension.
 */
import { publish } from '../../events.ts'
import { describeActivity, endSessions, isSqlState, type Session, sessionsOf } from '../../postgres/index.ts'
import type { InstallOptions, ResetStrategy } from './strategy.ts'
import { INSTALL_COPIES, TRUNCATE_FUNCTION } from './truncate-sql.ts'

export const truncateReset: ResetStrategy = {
  name: 'truncate',
  installs: 'copies',
  leavesClean: true,

  async install(session: Session, { bookkeeping }: InstallOptions): Promise<void> {
    await session.query(TRUNCATE_FUNCTION)
    await session.query(INSTALL_COPIES, [JSON.stringify(bookkeeping)])
  },

  async reset({ name, session }): Promise<void> {
    try {
      await session.query('select testdb.truncate()')
    } catch (error) {
      if (!isSqlState(error, 'lockNotAvailable', 'deadlockDetected')) throw error
      // Work of the previous test that nobody awaited still holds locks. It can not be left to write into the next test.
      const busy = (await sessionsOf(session, name)).filter((one) => one.state !== 'idle')
      await endSessions(session, name, 'busy')
      publish('warning.raised', {
        message: `ended ${busy.length} session(s) that still worked on ${name} after the test: ${busy.map(describeActivity).join('; ')}`,
      })
      await session.query('select testdb.truncate()')
    }
  },
}
