/**
 * `setupFilesAfterEnv: ['testdb/jest/setup']` (part of `preset: 'testdb'`): leases a database before the test file is
 * loaded and puts it back after each test.
 *
 * Loaded inside Jest's sandbox, hence as CommonJS, where nothing can be awaited at the top level. Jest awaits the
 * function that a setup file exports, before it loads the test file (since 28).
 */
import { assertHeld } from '../held.ts'
import { currentDatabase, enterFile, leaveFile } from '../worker.ts'
import { afterEverything, beforeAnything, registerLast } from './circus.ts'
import { runOf } from './published.ts'

export default async function setup(): Promise<void> {
  const database = await enterFile(runOf(testFile()), {
    slot: process.env.JEST_WORKER_ID ?? String(process.pid),
  })
  // A file that throws while it is loaded runs no hook at all; its lease ends with the process, which it must not keep alive.
  database.lease?.session.unref()
  const leave = (): Promise<void> => leaveFile(false)
  beforeAnything(() => assertHeld(currentDatabase()))
  registerLast({
    afterEach: async () => {
      await currentDatabase()?.reset()
    },
    afterAll: leave,
  })
  // A file whose tests are all skipped runs no hook at all.
  afterEverything(leave)
}

/** Jest tells it before the file is loaded. */
function testFile(): string {
  const { expect } = globalThis as unknown as { expect: { getState(): { testPath?: string } } }
  return expect.getState().testPath ?? ''
}
