/** How a test stands when its after-hooks run. */
import type { RunnerTestCase } from 'vitest'
import { reportFailure } from '../failed-test.ts'
import type { HeldDatabase, WorkerContext } from '../worker.ts'

/** With retries an earlier try's errors are still listed; the state is this try's. Of `test.fails` it is turned around later. */
const failedNow = ({ result, fails }: Readonly<RunnerTestCase>): boolean =>
  (result?.state === 'fail') !== (fails === true)

/** One more error would hide its own, and of `test.fails` turn what was found into what is expected. */
export const isFailed = (task: Readonly<RunnerTestCase>): boolean => failedNow(task) || task.fails === true

export async function reportIfFailed(
  context: WorkerContext,
  database: HeldDatabase,
  task: Readonly<RunnerTestCase>,
): Promise<void> {
  if (!failedNow(task)) return
  const blocks: string[] = []
  for (let block = task.suite; block; block = block.suite) blocks.unshift(block.name)
  await reportFailure(context, database, { name: task.name, blocks, file: task.file.filepath })
}
