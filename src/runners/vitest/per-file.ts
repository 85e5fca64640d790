/** One database for all tests of a file; each starts from what its `beforeAll` hooks have made. */
import { afterAll } from 'vitest'
import { endTest } from '../after-test.ts'
import { fileBegins, hooksBegin, testBegins, wroteLate } from '../guards/watch.ts'
import { assertHeld } from '../held.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { Suites } from '../suites.ts'
import { enterFile, leaveFile, type WorkerContext } from '../worker.ts'
import { aroundTests, type Test } from './around-tests.ts'
import { type Block, pathOf } from './blocks.ts'
import { isFailed, reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export async function useDatabasePerFile(context: WorkerContext, workerStays: boolean): Promise<void> {
  const database = await enterFile(context, { slot: slot() })
  const suites = new Suites<Block>(database, ({ name }) => name)
  const running = new OneAtATime<Test>(context, ({ name }) => name)

  /** Whoever runs next has written nothing yet. */
  const lookForLateWrites = async (): Promise<void> => {
    const test = await wroteLate()
    if (test !== undefined) suites.wroteLate(test)
  }
  const beforeHooks = async (): Promise<void> => {
    await lookForLateWrites()
    hooksBegin()
  }

  aroundTests({
    async begin(file) {
      fileBegins(file.filepath)
      await suites.enter([file])
    },
    async enter(block) {
      await beforeHooks()
      await suites.enter(pathOf(block))
    },
    async leave(block) {
      await beforeHooks()
      await suites.leave(pathOf(block), block)
    },
    async prepare(test, isFirst) {
      running.enter(test)
      try {
        assertHeld(database)
        if (isFirst) await lookForLateWrites()
        await suites.at(pathOf((test.suite ?? test.file) as Block))
      } catch (error) {
        running.leave(test)
        throw error
      }
      await testBegins(test, test.name)
    },
    async finish(test) {
      running.leave(test)
      await endTest({
        test,
        failed: isFailed(test),
        report: () => reportIfFailed(context, database, test),
        putBack: (begun) => suites.leaveTest(test.name, begun),
      })
    },
  })

  // Runs after all hooks of the test file: hooks are a stack.
  afterAll(async () => {
    await leaveFile({ stays: workerStays })
  })

  beforeWorkerEnds(() => leaveFile({ stays: false, quietly: true }))
}
