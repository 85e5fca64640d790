/** Where the records of runs are: in the cache folder of the workspace, a folder for each run, named so that they sort by their start. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findWorkspaceRoot } from '../server/embedded/workspace.ts'

export const reportsFolder = (projectRoot: string): string =>
  join(findWorkspaceRoot(projectRoot), 'node_modules', '.cache', 'testdb-reports')

const NAME = /^(\d{8}T\d{6})-(\d+)$/

/** The names of the runs on record, the newest first. */
export function listRuns(reports: string): string[] {
  try {
    const names = readdirSync(reports).filter((name) => NAME.test(name))
    return names.sort().reverse()
  } catch {
    return []
  }
}

/** Makes the folder of a run that begins now, and removes the oldest ones beyond `keep`; undefined where nothing can be written. */
export function makeReportFolder(projectRoot: string, keep: number): string | undefined {
  const reports = reportsFolder(projectRoot)
  try {
    const now = new Date().toISOString().replace(/[-:]|\.\d+Z/g, '')
    const folder = join(reports, `${now}-${process.pid}`)
    mkdirSync(folder, { recursive: true })
    for (const name of listRuns(reports).slice(keep)) {
      if (!isUnderWay(name)) rmSync(join(reports, name), { recursive: true, force: true })
    }
    return folder
  } catch {
    return undefined
  }
}

/** Whether the run's main process lives. One that was given the pid of a dead one only keeps a folder a little longer. */
export function isUnderWay(run: string): boolean {
  const pid = Number(NAME.exec(run)?.[2])
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
