/**
 * Work of the previous test that still goes on: a query that nobody awaited, a transaction left open. It can not be left to write
 * into the next test, and a reset may not wait for it for ever.
 */
import { publish } from '../../events.ts'
import { describeActivity, isSqlState } from '../../postgres/index.ts'
import type { Resettable } from './strategy.ts'

/** Such work may be started again by a client that repeats itself; after this many rounds the database is replaced instead. */
const ROUNDS = 3

/** Runs `action`, which waits for locks a bounded time; whoever holds them is then ended, named, and the action is run again. */
export async function withoutLateWork<T>(
  database: Resettable,
  after: string | undefined,
  action: () => Promise<T>,
): Promise<T> {
  for (let round = 1; ; round++) {
    try {
      return await action()
    } catch (error) {
      if (round === ROUNDS || !isSqlState(error, 'lockNotAvailable', 'deadlockDetected')) throw error
      const { name } = database
      const busy = await database.endWork()
      const test = after === undefined ? 'after the test' : `after the test "${after}"`
      const message = `ended ${busy.length} session(s) that still worked on ${name} ${test}: ${busy.map(describeActivity).join('; ')}`
      publish('warning.raised', { message })
    }
  }
}
