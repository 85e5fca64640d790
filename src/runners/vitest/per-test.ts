/** `scope: 'test'`: each test has a database of its own, which goes with it. */
import { afterAll } from 'vitest'
import type { RunContext } from '../../databases/context.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { fileBegins, testBegins, testEnds } from '../refused.ts'
import { currentDatabase, enterFile, hideDatabase, leaveFile } from '../worker.ts'
import { aroundTests, type Test } from './around-tests.ts'
import { reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export function useDatabasePerTest(context: RunContext): void {
  const running = new OneAtATime<Test>(context, ({ name }) => name)
  const leave = async (): Promise<void> => {
    await leaveFile(false)
    hideDatabase(context)
  }
  hideDatabase(context)

  aroundTests({
    begin: ({ filepath }) => Promise.resolve(fileBegins(filepath)),
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
      testBegins(test, test.name)
    },
    async finish(test) {
      if (test.concurrent === true) return
      await testEnds(test)
      const database = currentDatabase()
      if (database) await reportIfFailed(context, database, test)
      await leave()
      running.leave(test)
    },
  })
  afterAll(leave)
  beforeWorkerEnds(leave)
}
