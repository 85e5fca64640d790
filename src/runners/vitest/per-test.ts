/** `scope: 'test'`: each test has a database of its own, which goes with it. */
import { afterEach, beforeEach } from 'vitest'
import type { RunContext } from '../../databases/context.ts'
import { currentDatabase, enterFile, leaveFile } from '../worker.ts'
import { reportIfFailed } from './result.ts'
import { slot } from './slot.ts'
import { beforeWorkerEnds } from './worker-end.ts'

export function useDatabasePerTest(context: RunContext): void {
  // Tests that run at the same time can not have one environment; they get theirs from the `db` fixture.
  beforeEach(async ({ task }) => {
    if (task.concurrent !== true) await enterFile(context, { slot: slot() })
  })
  afterEach(async ({ task }) => {
    if (task.concurrent === true) return
    const database = currentDatabase()
    if (database) await reportIfFailed(context, database, task)
    await leaveFile(false)
  })
  beforeWorkerEnds(() => leaveFile(false))
}
