/** One database for all tests of a file; each starts from what its `beforeAll` hooks have made. */
import { afterAll } from 'vitest'
import { assertHeld } from '../held.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { fileBegins, testBegins, testEnds } from '../refused.ts'
import { Suites } from '../suites.ts'
import { enterFile, leaveFile, type WorkerContext } from '../worker.ts'
import { aroundTests, type Test } from './around-tests.ts'
import { type Block, pathOf } from './blocks.ts'
import { reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export async function useDatabasePerFile(context: WorkerContext, workerStays: boolean): Promise<void> {
  const database = await enterFile(context, { slot: slot() })
  const suites = new Suites<Block>(database, ({ name }) => name)
  const running = new OneAtATime<Test>(context, ({ name }) => name)

  aroundTests({
    async begin(file) {
      fileBegins(file.filepath)
      await suites.enter([file])
    },
    enter: (block) => suites.enter(pathOf(block)),
    leave: (block) => suites.leave(pathOf(block), block),
    async prepare(test) {
      running.enter(test)
      try {
        assertHeld(database)
        await suites.at(pathOf((test.suite ?? test.file) as Block))
      } catch (error) {
        running.leave(test)
        throw error
      }
      testBegins(test, test.name)
    },
    async finish(test) {
      running.leave(test)
      await testEnds(test)
      await reportIfFailed(context, database, test)
      await suites.leaveTest(test.name)
    },
  })

  // Runs after all hooks of the test file: hooks are a stack.
  afterAll(async () => {
    await leaveFile(workerStays)
  })

  beforeWorkerEnds(() => leaveFile(false))
}
