/**
 * `setupFilesAfterEnv: ['testdb/jest/setup']` (part of `preset: 'testdb'`): puts the database back after each test and gives
 * it back after the last. Where `testdb/jest/acquire` has not leased one, this does, which needs Jest 30.
 *
 * Loaded inside Jest's sandbox, hence as CommonJS, where nothing can be awaited at the top level. Jest 30 awaits the function
 * that a setup file exports, before it loads the test file; Jest 29 does not even call it.
 */
import { TestDbError } from '../../errors.ts'
import { assertHeld } from '../held.ts'
import { Suites } from '../suites.ts'
import { currentDatabase, enterFile, leaveFile } from '../worker.ts'
import {
  afterEverything,
  type Block,
  beforeAnything,
  beforeBlocks,
  pathOf,
  registerLast,
  runningTest,
} from './circus.ts'
import { runOf } from './published.ts'

// Outside of Jest this file is only looked at.
if ('beforeEach' in globalThis) {
  if (currentDatabase() !== undefined) registerHooks()
  else beforeAnything(assertAcquired)
}

export default async function setup(): Promise<void> {
  if (currentDatabase() !== undefined) return
  const database = await enterFile(runOf(testFile()), {
    slot: process.env.JEST_WORKER_ID ?? String(process.pid),
  })
  // A file that throws while it is loaded runs no hook at all; its lease ends with the process, which it must not keep alive.
  database.lease?.session.unref()
  registerHooks()
}

function registerHooks(): void {
  const leave = (): Promise<void> => leaveFile(false)
  const database = currentDatabase()
  const suites = database && new Suites<Block>(database, ({ name }) => name)
  if (suites) beforeBlocks((path) => suites.enter(path))
  beforeAnything(async () => {
    assertHeld(database)
    const test = runningTest()
    if (test) await suites?.at(pathOf(test.parent))
  })
  registerLast({
    afterEach: async () => {
      await suites?.leaveTest(runningTest()?.name ?? 'unknown')
    },
    afterAll: leave,
  })
  // A file whose tests are all skipped runs no hook at all.
  afterEverything(leave)
}

function assertAcquired(): void {
  if (currentDatabase() !== undefined) return
  throw new TestDbError('TESTDB_RUN_MISSING', 'Jest 29 loads testdb/jest/setup too late to wait for a database', {
    fixes: [
      "Add `setupFiles: ['testdb/jest/acquire']` to the Jest configuration, or use `preset: 'testdb'`.",
      'If `projects` names several roots, run Jest in each of their folders, or update to Jest 30.',
      'Run `npx testdb doctor` to check the configuration of the runner.',
    ],
  })
}

/** Jest tells it before the file is loaded. */
function testFile(): string {
  const { expect } = globalThis as unknown as { expect: { getState(): { testPath?: string } } }
  return expect.getState().testPath ?? ''
}
