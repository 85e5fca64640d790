/** One database for all tests of a file; each starts from what its `beforeAll` hooks have made. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { RunContext } from '../../databases/context.ts'
import { assertHeld } from '../held.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { Suites } from '../suites.ts'
import { enterFile, leaveFile } from '../worker.ts'
import { type Block, beforeHooksOf, pathOf } from './blocks.ts'
import { reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export async function useDatabasePerFile(context: RunContext, workerStays: boolean): Promise<void> {
  const database = await enterFile(context, { slot: slot() })
  const suites = new Suites<Block>(database, ({ name }) => name)
  const running = new OneAtATime<{ readonly name: string }>(context, ({ name }) => name)

  // Registered before any hook of the test file. Not an arrow function: versions differ in where they pass the file.
  beforeAll(async function enterBlocks() {
    // biome-ignore lint/complexity/noArguments: a parameter would be parsed as a request for fixtures.
    const file = [...arguments].find(
      (one): one is Block => typeof one === 'object' && one !== null && 'filepath' in one,
    )
    if (!file) throw new Error('bug: this version of Vitest does not say which file it runs')
    beforeHooksOf(file, (block) => suites.enter(pathOf(block)))
    await suites.enter([file])
  })

  beforeEach(async ({ task }) => {
    running.enter(task)
    assertHeld(database)
    await suites.at(pathOf((task.suite ?? task.file) as Block))
  })

  // Run after all hooks of the test file: hooks are a stack.
  afterEach(async ({ task }) => {
    if (!running.leave(task)) return
    await reportIfFailed(context, database, task)
    await suites.leaveTest(task.name)
  })

  afterAll(async () => {
    await leaveFile(workerStays)
  })

  beforeWorkerEnds(() => leaveFile(false))
}
