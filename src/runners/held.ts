/** Before each test: is the database still this worker's? */
import type { HeldDatabase } from './worker.ts'

/**
 * Throws `TESTDB_LEASE_LOST` when it is not. A test must not run then: after a crash of the server, or in the hands of the next
 * holder, it would see another state than the migrated one, and fail (or pass) for a reason that is not its own.
 */
export function assertHeld(database: HeldDatabase | undefined): void {
  // Asking for its session is what throws.
  for (const one of database?.all ?? []) void one.lease?.session
}
