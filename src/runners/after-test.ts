/** The end of a test: guards look, what a failed one has changed is told, the database is put back, then the guards' verdict counts. */
import type { BegunResets } from '../databases/reset/begun.ts'
import { testEnds } from './guards/watch.ts'

export interface TestEnd {
  readonly test: object
  /** It has failed by itself: then what guards find is only printed. */
  readonly failed: boolean
  /** The database goes with the test. @default false */
  readonly last?: boolean
  /** Tells what it had changed. */
  report(): Promise<void>
  /** `begun`: where that was done already, as far as it is one statement. */
  putBack(begun?: BegunResets): Promise<void>
}

/** Throws what `putBack` throws, and `TESTDB_GUARD_FAILED` or `TESTDB_CONNECTION_REFUSED` of a test that has not failed. */
export async function endTest({ test, failed, last, report, putBack }: TestEnd): Promise<void> {
  // What a failed one has changed is still to be told.
  const { verdict, begun } = await testEnds(test, { last, mayReset: !failed && last !== true })
  try {
    await report()
    await putBack(begun)
  } catch (error) {
    verdict?.judge(true)
    throw error
  }
  verdict?.judge(failed)
}
