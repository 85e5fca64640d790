/**
 * `rollback`: what the tests do through `db` is one transaction, which is rolled back after each of them.
 *
 * Other pools are outside of it. What they have written stays until the file ends; then the database is put back as by `truncate`,
 * whose functions the template carries, so that the next file begins with the migrated state.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import { messageOf, TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { describeActivity, type Session, type SharedTransaction, sessionsOf } from '../../postgres/index.ts'
import type { ResetStrategy } from './strategy.ts'
import { truncateReset } from './truncate.ts'

export const rollbackReset: ResetStrategy = { ...truncateReset, name: 'rollback' }

/** How long work that goes on after its test is waited for (ms); `truncate` waits for locks as long. */
const LATE_MS = 1_000
/** A rollback takes no time; after this its backend does not answer any more (ms). */
const STUCK_MS = 10_000
/** How long its backend may take to leave (ms). */
const LEAVE_MS = 2_000

export interface RollBackOptions {
  /** The session that holds the database. */
  readonly session: Session
  /** The checkpoint to return to, 0: none. */
  readonly level: number
  /** The test that has ended. */
  readonly after: string | undefined
}

/** Throws `TESTDB_RESET_FAILED`. */
export async function rollBack(transaction: SharedTransaction, options: RollBackOptions): Promise<void> {
  const { session, level, after } = options
  const { database } = session.target
  const startedAt = performance.now()
  const test = after === undefined ? 'before a reset' : `after the test "${after}"`
  const patienceMs = transaction.busy ? LATE_MS : STUCK_MS
  try {
    const rolledBack = transaction.rewind(level)
    if (!(await endsWithin(rolledBack, patienceMs))) {
      await endLateWork(transaction, session, test)
      // The end of its connection is the end of the transaction.
      if (!(await endsWithin(rolledBack, LEAVE_MS))) throw new Error(`its backend did not end within ${LEAVE_MS} ms`)
    }
    const left = await rolledBack
    if (left > 0) {
      const message = `${left} transaction(s) of db on ${database} were still open ${test}; they were rolled back and their connections ended`
      publish('warning.raised', { message })
    }
  } catch (error) {
    if (session.ended)
      throw new TestDbError('TESTDB_LEASE_LOST', `the session that holds ${database} was ended`, { cause: error })
    const what = `rolling ${database} back failed: ${messageOf(error)}`
    throw new TestDbError('TESTDB_RESET_FAILED', what, { cause: error })
  }
  publish('database.reset', { database, strategy: 'rollback', durationMs: performance.now() - startedAt })
}

async function endLateWork(transaction: SharedTransaction, session: Session, test: string): Promise<void> {
  const { database } = session.target
  const late = (await sessionsOf(session, database)).find(({ pid }) => pid === transaction.backendPid)
  if (!late) return
  const message = `ended the connection of db, which still worked on ${database} ${test}: ${describeActivity(late)}`
  publish('warning.raised', { message })
  await session.query('select pg_terminate_backend($1)', [late.pid])
}

/** Also true when it fails. */
async function endsWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  const ended = promise.then(
    () => true,
    () => true,
  )
  return await Promise.race([ended, late]).finally(() => clearTimeout(timer))
}
