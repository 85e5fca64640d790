/** What tests of servers by URL share: a whole run on one, and what is on it. */
import { createTestDb } from '../../src/create-test-db.ts'
import type { Database } from '../../src/databases/database.ts'
import type { TestDbConfig } from '../../src/index.ts'
import { functionMigrator } from '../../src/migrators/index.ts'

export const MIGRATOR = functionMigrator({
  hash: 'items',
  migrate: ({ query }) => query('create table items (id serial primary key, name text)'),
})

/** One run with one database on the server of that URL. */
export async function runOn(
  url: string,
  body: (database: Database) => Promise<void> = async () => undefined,
  options: TestDbConfig = {},
): Promise<void> {
  await using testdb = await createTestDb({
    server: { kind: 'url', url },
    migrator: MIGRATOR,
    pool: { max: 2 },
    ...options,
  })
  await using database = await testdb.acquire()
  await body(database)
}
