/**
 * `import { test } from 'testdb/vitest/fixtures'`: Vitest's `test` with a `db` fixture.
 *
 * Works beside the setup file, and alone: then only files whose tests use `db` lease a database, and code that reads
 * `process.env.DATABASE_URL` while it is imported does not find it.
 */
import { test as base, inject } from 'vitest'
import type { Database, WorkerDatabase } from '../../databases/database.ts'
import { assertHeld } from '../held.ts'
import { currentDatabase, enterFile, leaveFile } from '../worker.ts'
import { contextOf } from './injected.ts'

interface FileFixtures {
  /** The file's hold on its database. Undefined when the setup file has it. */
  readonly testdbFile: { readonly database: WorkerDatabase; readonly ownsReset: boolean }
}

export interface Fixtures {
  /** The worker's migrated database; put back after each test. */
  readonly db: Database
}

/**
 * Vitest's `test`, with `db`.
 *
 * @example
 * import { expect } from 'vitest'
 * import { test } from 'testdb/vitest/fixtures'
 * test('starts empty', async ({ db }) => {
 *   const { rows } = await db.query('select count(*)::int as n from users')
 *   expect(rows).toEqual([{ n: 0 }])
 * })
 */
// The object syntax is the one that works from Vitest 3.2 to 5; the builder silently does nothing before 4.1.
export const test = base.extend<Fixtures & FileFixtures>({
  testdbFile: [
    // biome-ignore lint/correctness/noEmptyPattern: Vitest reads the fixture's dependencies from this pattern.
    async ({}, use) => {
      const present = currentDatabase()
      if (present) return use({ database: present, ownsReset: false })
      const { context, workerStays } = contextOf(inject('testdb'))
      const database = await enterFile(context, { slot: process.env.VITEST_POOL_ID ?? String(process.pid) })
      await use({ database, ownsReset: true })
      await leaveFile(workerStays)
    },
    { scope: 'file' },
  ],
  db: async ({ testdbFile, task }, use) => {
    assertHeld(currentDatabase())
    await use(testdbFile.database)
    if (testdbFile.ownsReset) await testdbFile.database.resetAfter(task.name, 0)
  },
})
export const it = test
