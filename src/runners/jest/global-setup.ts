/**
 * `globalSetup: 'testdb/jest'` (part of `preset: 'testdb'`): starts the run in Jest's parent process, one for each root of
 * Jest's `projects`.
 *
 * Jest runs no teardown when a globalSetup throws or on a signal; in watch mode it runs both for every rerun.
 */
import { mkdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { resolveConfig } from '../../config/resolve.ts'
import { isTestDbError } from '../../errors.ts'
import { chooseMigrator } from '../../migrators/detect.ts'
import { fileWithObservers, observed } from '../../observe.ts'
import { type AnyRun, startAnyRun } from '../../pg-mem-run.ts'
import { showProgress } from '../../report/progress.ts'
import { type Recording, recorded } from '../../report/recording.ts'
import type { Workers } from '../../run-budget.ts'
import { makeRunFolder } from '../../run-folder.ts'
import { activeRuns } from './active-runs.ts'
import { type Published, publishRuns } from './published.ts'

interface GlobalConfig {
  readonly maxWorkers?: number
  readonly watch?: boolean
  readonly watchAll?: boolean
  readonly rootDir?: string
  /** Folders or configuration files, relative to the root. */
  readonly projects?: readonly unknown[]
}

export default async function globalSetup(all: GlobalConfig, first: { readonly rootDir: string }): Promise<void> {
  const endProgress = showProgress()
  const runs: AnyRun[] = []
  const recordings: Recording[] = []
  const endings: (() => void)[] = []
  try {
    await activeRuns.close()
    const folder = makeRunFolder()
    const published: Published[] = []
    for (const root of rootsOf(all, first.rootDir)) {
      const started = await start(root, { isFirst: root === first.rootDir, all, runs })
      if ('failed' in started) published.push({ root, failed: started.failed })
      else {
        const notes = join(folder.path, String(runs.push(started.run)))
        mkdirSync(notes)
        recordings.push(started.recording)
        endings.push(started.endObserving)
        const own = {
          folder: notes,
          report: started.recording.folder,
          observers: fileWithObservers(started.run.config),
        }
        published.push({ root, context: { ...started.run.context, ...own } })
      }
    }
    const retract = publishRuns(published, folder.path)
    const end = (): void => {
      retract()
      folder.remove()
    }
    // In watch mode each rerun has a set-up and a teardown.
    const quiet = all.watch === true || all.watchAll === true
    const finish = (): void => {
      for (const recording of recordings) recording.finish({ quiet })
      for (const end of endings) end()
    }
    activeRuns.set({ runs, retract: end, finish })
  } catch (error) {
    for (const run of runs) await run.close()
    for (const recording of recordings) recording.finish()
    for (const end of endings) end()
    throw error
  } finally {
    endProgress()
  }
}

interface Started {
  readonly run: AnyRun
  readonly recording: Recording
  endObserving(): void
}

/** Only a project without migrations may go without a run, if it is not the only one. */
async function start(
  root: string,
  { isFirst, all, runs }: { readonly isFirst: boolean; readonly all: GlobalConfig; readonly runs: readonly AnyRun[] },
): Promise<Started | Pick<Extract<Published, { failed: unknown }>, 'failed'>> {
  try {
    const config = await resolveConfig({ cwd: root })
    // No server is started for a project that has nothing to put on it.
    if (!isFirst && !config.migrator) await chooseMigrator(config.root, config.environment)
    const options = { runner: 'jest', ...workersOf(all), beside: runs }
    return await observed(config, () => recorded({ ...config, runner: 'jest' }, () => startAnyRun(config, options)))
  } catch (error) {
    if (isFirst || !isTestDbError(error) || error.code !== 'TESTDB_MIGRATOR_MISSING') throw error
    return { failed: { code: error.code, what: error.what, fixes: error.fixes } }
  }
}

/** Jest has counted them, whatever was asked for: a number, a percentage, nothing, `--runInBand`. Its runs end before the next look. */
const workersOf = ({ maxWorkers = 1 }: GlobalConfig): Workers => ({ slots: Math.max(1, maxWorkers) })

function rootsOf({ rootDir = '', projects = [] }: GlobalConfig, first: string): string[] {
  const others = projects.filter((one) => typeof one === 'string').flatMap((one) => folderOf(resolve(rootDir, one)))
  return [...new Set([first, ...others])]
}

/** Nothing for what is not there: with `--projects one` Jest names it relative to where it was called, not to its root. */
function folderOf(place: string): string[] {
  const stats = statSync(place, { throwIfNoEntry: false })
  if (stats === undefined) return []
  return [stats.isFile() ? dirname(place) : place]
}
