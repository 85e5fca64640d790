/** Reads what globalSetup provided, in a worker. */
import { TestDbError } from '../../errors.ts'
import type { Provided } from './provided.ts'

/** Throws `TESTDB_RUN_MISSING` when globalSetup did not run, and the run's own error when it failed in watch mode. */
export function contextOf(provided: Provided | undefined): Extract<Provided, { context: unknown }> {
  if (provided === undefined) {
    throw new TestDbError(
      'TESTDB_RUN_MISSING',
      'this project provides no `testdb`; its globalSetup does not name testdb/vitest',
    )
  }
  if ('failed' in provided) {
    const { code, what, fixes } = provided.failed
    throw new TestDbError(code, what, { fixes })
  }
  return provided
}
