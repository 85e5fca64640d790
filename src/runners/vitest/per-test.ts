/** `scope: 'test'`: each test has a database of its own, which goes with it. */
import { afterAll } from 'vitest'
import type { RunContext } from '../../databases/context.ts'
import { recordWorker } from '../../report/record.ts'
import { endTest } from '../after-test.ts'
import { fileBegins, testBegins } from '../guards/watch.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { currentDatabase, enterFile, hideDatabase, type Leaving, leaveFile } from '../worker.ts'
import { aroundTests, type Test } from './around-tests.ts'
import { isFailed, reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export function useDatabasePerTest(context: RunContext): void {
  const running = new OneAtATime<Test>(context, ({ name }) => name)
  const leave = async (leaving: Partial<Leaving>): Promise<void> => {
    try {
      await leaveFile({ stays: false, ...leaving })
    } finally {
      hideDatabase(context)
    }
  }
  hideDatabase(context)

  aroundTests({
    async begin({ filepath }) {
      recordWorker(context.report, slot())
      fileBegins(filepath)
    },
    enter: () => Promise.resolve(),
    leave: () => Promise.resolve(),
    // Tests that run at the same time can not have one environment; they get theirs from the `db` fixture.
    async prepare(test) {
      if (test.concurrent === true) return
      running.enter(test)
      await enterFile(context, { slot: slot() }).catch((error: unknown) => {
        running.leave(test)
        throw error
      })
      await testBegins(test, test.name)
    },
    async finish(test) {
      if (test.concurrent === true) return
      const database = currentDatabase()
      await endTest({
        test,
        failed: isFailed(test),
        last: true,
        report: async () => database && (await reportIfFailed(context, database, test)),
        putBack: async () => {
          await leave({ ofTest: true })
          running.leave(test)
        },
      })
    },
  })
  afterAll(() => leave({}))
  beforeWorkerEnds(() => leave({ quietly: true }))
}
