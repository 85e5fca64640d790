/**
 * `globalSetup: 'testdb/jest'` (part of `preset: 'testdb'`): starts the run in Jest's parent process. Workers are told
 * through an environment variable, because Jest has no channel of its own.
 *
 * Jest runs no teardown when a globalSetup throws or on a signal; in watch mode it runs both for every rerun.
 */
import { publishContext } from '../../acquire.ts'
import { resolveConfig } from '../../config/resolve.ts'
import { showProgress } from '../../report/progress.ts'
import { startRun } from '../../testdb.ts'
import { activeRun } from './active-run.ts'

export default async function globalSetup(_global: unknown, project: { readonly rootDir: string }): Promise<void> {
  const endProgress = showProgress()
  try {
    await activeRun.close()
    const run = await startRun(await resolveConfig({ cwd: project.rootDir }), 'jest')
    activeRun.set(run, publishContext(run.context))
  } finally {
    endProgress()
  }
}
