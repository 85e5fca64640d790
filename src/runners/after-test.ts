/** The end of a test: guards look, what a failed one has changed is told, the database is put back, then the guards' verdict counts. */
import { testEnds } from './guards/watch.ts'

export interface TestEnd {
  readonly test: object
  /** It has failed by itself: then what guards find is only printed. */
  readonly failed: boolean
  /** The database goes with the test. @default false */
  readonly last?: boolean
  /** Tells what it had changed. */
  report(): Promise<void>
  putBack(): Promise<void>
}

/** Throws what `putBack` throws, and `TESTDB_GUARD_FAILED` or `TESTDB_CONNECTION_REFUSED` of a test that has not failed. */
export async function endTest({ test, failed, last, report, putBack }: TestEnd): Promise<void> {
  const verdict = await testEnds(test, last)
  try {
    await report()
    await putBack()
  } catch (error) {
    verdict?.judge(true)
    throw error
  }
  verdict?.judge(failed)
}
