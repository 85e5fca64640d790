/**
 * Takes a settled database into use. Whoever had it may have written after giving it back (hooks and fixtures of a runner that end
 * after ours, an application that was not closed), so "clean" is not enough: the notes of writes are looked at, in the round trip
 * that takes it.
 */
import { isConnectionLoss, type Session } from '../postgres/index.ts'
import type { RunContext } from './context.ts'
import { type LeaseRow, writeLease } from './reset/lease-sql.ts'
import { strategyOf } from './reset/strategies.ts'

/** A dirty database is only good for the run that made it so: its own strategy is to leave things as they are. */
export const isUsable = (row: LeaseRow, context: RunContext): boolean =>
  row.clean || (context.reset === 'none' && row.runId === context.runId)

/** Notes that this run holds the database; true when somebody has written since it was given back, as far as the strategy can tell. */
export async function takeSettled(session: Session, { reset, runId }: RunContext): Promise<boolean> {
  const { untouched } = strategyOf(reset)
  if (untouched !== undefined) {
    try {
      const [taken, look] = await session.batch(
        `update testdb.lease set held = true, clean = false, run_id = ${runId}; select ${untouched} as untouched`,
      )
      if (taken?.rowCount === 1) return look?.rows[0]?.untouched !== true
    } catch (error) {
      if (session.ended || isConnectionLoss(error)) throw error
      // The notes are gone; a reset fails then, and a fresh clone takes the place of the database.
      await writeLease(session, { held: true, clean: false, runId })
      return true
    }
  }
  await writeLease(session, { held: true, clean: false, runId })
  return false
}
