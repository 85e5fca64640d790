/** `globalTeardown: 'testdb/jest/teardown'` (part of `preset: 'testdb'`): ends the run. */
import { activeRun } from './active-run.ts'

export default async function globalTeardown(): Promise<void> {
  await activeRun.close()
}
