/** How a test stands when its after-hooks run. */
import type { RunnerTestCase } from 'vitest'
import { reportFailure } from '../failed-test.ts'
import type { HeldDatabase, WorkerContext } from '../worker.ts'

export async function reportIfFailed(
  context: WorkerContext,
  database: HeldDatabase,
  task: Readonly<RunnerTestCase>,
): Promise<void> {
  // With retries an earlier try's errors are still listed; the state is this try's. Of `test.fails` it is turned around later.
  const failed = (task.result?.state === 'fail') !== (task.fails === true)
  if (!failed) return
  const blocks: string[] = []
  for (let block = task.suite; block; block = block.suite) blocks.unshift(block.name)
  await reportFailure(context, database, { name: task.name, blocks, file: task.file.filepath })
}
