/** `globalTeardown: 'testdb/jest/teardown'` (part of `preset: 'testdb'`): ends the run. */
import { CONTEXT_VARIABLE } from '../../databases/context.ts'
import { activeRun } from './active-run.ts'

export default async function globalTeardown(): Promise<void> {
  const run = activeRun.get()
  activeRun.set(undefined)
  delete process.env[CONTEXT_VARIABLE]
  await run?.close()
}
