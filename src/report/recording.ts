/**
 * The record of a run, from the side of the process that starts it: one for an invocation of a runner, however many projects it has.
 *
 * What if the process dies here? The log has what was until then, and `testdb report` makes its report of that.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isTestDbError, messageOf } from '../errors.ts'
import { publish } from '../events.ts'
import { collectRun } from './collect.ts'
import { makeReportFolder } from './folders.ts'
import { oneLine } from './format.ts'
import { recordMain } from './record.ts'
import { endOfRun } from './summary.ts'

export interface Recorded {
  readonly root: string
  readonly project: string
  readonly runner: string
  readonly report: { readonly print: 'always' | 'problems' | 'never'; readonly keep: number }
}

/** What a started run says of itself. */
export interface Ready {
  readonly reservation?: { readonly slots: number; readonly poolMax: number; readonly connectionLimit: number }
}

export interface Recording {
  /** For the workers; undefined where nothing is written. */
  readonly folder: string | undefined
  ready(run: Ready): void
  failed(error: unknown): void
  /** There was nothing to run: no report. */
  discard(): void
  /** The run is over: prints what the configuration wants printed. `quiet`: problems only. */
  finish(options?: { readonly quiet?: boolean }): void
}

interface Active {
  readonly folder: string | undefined
  readonly log: ReturnType<typeof recordMain> | undefined
  users: number
}

/** On `globalThis`, because runners load the set-up once for each project. */
const ACTIVE = Symbol.for('testdb.recording')
const store = globalThis as { [ACTIVE]?: Active | undefined }

/** Starts the record of this process's run, or joins it. */
export function startRecording(recorded: Recorded): Recording {
  store[ACTIVE] ??= begin(recorded)
  const active = store[ACTIVE]
  active.users++
  if (active.users === 1) publish('run.started', { ...namesOf(recorded), pid: process.pid })
  let over = false
  /** True for the last one to leave. */
  const leave = (): boolean => {
    if (over) return false
    over = true
    if (--active.users > 0) return false
    store[ACTIVE] = undefined
    return true
  }
  return {
    folder: active.folder,
    ready: ({ reservation }) => {
      const { slots, poolMax, connectionLimit } = reservation ?? {}
      publish('run.ready', { slots, poolMax, connectionLimit })
    },
    failed: (error) => {
      const [code, message] = isTestDbError(error) ? [error.code, error.what] : [undefined, messageOf(error)]
      publish('run.failed', { code, message })
    },
    discard() {
      if (!leave()) return
      active.log?.end()
      if (active.folder !== undefined) rmSync(active.folder, { recursive: true, force: true })
    },
    finish({ quiet = false } = {}) {
      if (!leave()) return
      publish('run.finished', {})
      active.log?.end()
      const { print } = recorded.report
      if (active.folder !== undefined) conclude(active.folder, print === 'always' && quiet ? 'problems' : print)
    },
  }
}

/** Records a start: a run that is there, or why there is none. */
export async function recorded<R extends object>(
  of: Recorded,
  start: () => Promise<R>,
): Promise<{ readonly run: R; readonly recording: Recording }> {
  const recording = startRecording(of)
  try {
    const run = await start()
    recording.ready(run as Ready)
    return { run, recording }
  } catch (error) {
    // Also of the root of a workspace, which needs none: the runner judges that.
    if (isTestDbError(error) && error.code === 'TESTDB_MIGRATOR_MISSING') recording.discard()
    else {
      recording.failed(error)
      recording.finish()
    }
    throw error
  }
}

const namesOf = ({ runner, project, root }: Recorded) => ({ runner, project, root })

function begin({ root, report }: Recorded): Active {
  const folder = report.keep === 0 ? undefined : makeReportFolder(root, report.keep)
  const log = folder === undefined ? undefined : recordMain(folder)
  if (log) process.once('exit', () => log.flush())
  return { folder, log, users: 0 }
}

/** Whatever is wrong with a report, the run has ended as it has. */
function conclude(folder: string, print: Recorded['report']['print']): void {
  try {
    const report = collectRun(folder)
    if (report === undefined) return
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
    const { lines, problems } = endOfRun(report)
    if (print === 'never' || (print === 'problems' && !problems)) return
    for (const line of lines) process.stderr.write(`${line}\n`)
  } catch (error) {
    process.stderr.write(`testdb: no report of this run: ${oneLine(messageOf(error))}\n`)
  }
}
