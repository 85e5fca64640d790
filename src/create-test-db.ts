/** The entry for scripts and runners that have no adapter. */
import { acquireDatabase } from './acquire.ts'
import type { TestDbConfig } from './config/config.ts'
import { resolveConfig } from './config/resolve.ts'
import type { Database, WorkerDatabase } from './databases/database.ts'
import { startRun } from './testdb.ts'

/** A source of databases without a runner. */
export interface TestDb extends AsyncDisposable {
  /** Leases a migrated database that nobody else uses. */
  acquire(): Promise<Database>
  /** Gives back every database that is still held and ends the run. */
  close(): Promise<void>
}

/**
 * Gives scripts and runners without an adapter their own migrated databases.
 *
 * Starts or attaches the server and builds the template if need be; `options` win over environment, file and defaults.
 * Throws `TESTDB_CONFIG_INVALID`, `TESTDB_MIGRATION_FAILED`, `TESTDB_SERVER_UNREACHABLE` and the other codes of docs/errors.md.
 *
 * @example
 * await using testdb = await createTestDb()
 * await using db = await testdb.acquire()
 * await db.query('insert into users (name) values ($1)', ['Ada'])
 * await db.reset()
 */
export async function createTestDb(options: TestDbConfig = {}): Promise<TestDb> {
  const config = await resolveConfig({ options })
  const run = await startRun(config, { runner: 'createTestDb', slots: 1 })
  const held = new Set<WorkerDatabase>()
  let acquired = 0
  let acquiring = 0
  const close = async (): Promise<void> => {
    try {
      await Promise.all([...held].map((database) => database.release()))
    } finally {
      held.clear()
      await run.close()
    }
  }
  return {
    async acquire() {
      acquiring++
      try {
        for (const database of held) if (database.released) held.delete(database)
        await run.reserveSlots(held.size + acquiring)
        const database = await acquireDatabase(run.context, { slot: String(++acquired) })
        held.add(database)
        return database
      } finally {
        acquiring--
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
