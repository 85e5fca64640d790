/**
 * `import { test } from 'testdb/vitest/fixtures'`: Vitest's `test` with a `db` fixture.
 *
 * Works beside the setup file, and alone: then only files whose tests use `db` lease a database, and code that reads
 * `process.env.DATABASE_URL` while it is imported does not find it.
 */
import { test as base, inject, type RunnerTestCase } from 'vitest'
import { acquireDatabase } from '../../acquire.ts'
import type { RunContext } from '../../databases/context.ts'
import type { Database } from '../../databases/database.ts'
import { observeInWorker } from '../../observe.ts'
import { endTest } from '../after-test.ts'
import { testBegins, watchGuards } from '../guards/watch.ts'
import { assertHeld } from '../held.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { currentDatabase, enterFile, type HeldDatabase, leaveFile, resetAfter, type WorkerContext } from '../worker.ts'
import { contextOf } from './injected.ts'
import { isFailed, reportIfFailed } from './result.ts'
import { slot } from './slot.ts'

interface FileFixtures {
  /** The file's hold on its database. */
  readonly testdbFile: FileHold
}

interface FileHold {
  readonly context: WorkerContext
  /** Undefined with `scope: 'test'`. */
  readonly database: HeldDatabase | undefined
  /** Set when no setup file resets. */
  readonly running: OneAtATime<{ readonly name: string }> | undefined
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
      const { context, workerStays } = contextOf(inject('testdb'))
      const database = currentDatabase()
      if (context.scope === 'test') return use({ context, database: undefined, running: undefined })
      if (database) return use({ context, database, running: undefined })
      const running = new OneAtATime<{ readonly name: string }>(context, ({ name }) => name)
      await use({ context, database: await enterFile(context, { slot: slot() }), running })
      await leaveFile({ stays: workerStays })
    },
    { scope: 'file' },
  ],
  db: async ({ testdbFile: { context, database, running }, task }, use) => {
    if (!database) return useOwn(context as RunContext, task, use)
    running?.enter(task)
    assertHeld(currentDatabase())
    if (running) await testBegins(task, task.name)
    await use(database)
    if (!running?.leave(task)) return
    await endTest({
      test: task,
      failed: isFailed(task),
      report: () => reportIfFailed(context, database, task),
      putBack: (begun) => resetAfter(database, task.name, begun),
    })
  },
})

/** With `scope: 'test'`: the database that the setup file has leased for this test, or one that is leased only now. */
async function useOwn(
  context: RunContext,
  task: RunnerTestCase,
  use: (database: Database) => Promise<void>,
): Promise<void> {
  const present = task.concurrent === true ? undefined : currentDatabase()
  if (present) return await use(present)
  await observeInWorker(context.observers)
  const database = await acquireDatabase(context, { slot: slot() })
  watchGuards(context)
  await testBegins(task, task.name, database)
  try {
    await use(database)
  } catch (error) {
    await database.release()
    throw error
  }
  await endTest({
    test: task,
    failed: isFailed(task),
    last: true,
    report: () => reportIfFailed(context, database, task),
    putBack: () => database.release(),
  })
}

export const it = test
