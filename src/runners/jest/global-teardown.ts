/** `globalTeardown: 'testdb/jest/teardown'` (part of `preset: 'testdb'`): ends the run. */
import { activeRuns } from './active-runs.ts'

export default async function globalTeardown(): Promise<void> {
  await activeRuns.close()
}
