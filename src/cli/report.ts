/** `testdb report`: what is on record of a run. Needs no server and starts none. */
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { TestDbError } from '../errors.ts'
import { collectRun } from '../report/collect.ts'
import { listRuns, reportsFolder } from '../report/folders.ts'
import type { RunReport } from '../report/run-report.ts'
import { MARKS, oneLineOf } from '../report/summary.ts'
import { describeRun } from '../report/text.ts'
import { WrongUsage } from './arguments.ts'
import { type CommonOptions, loadProject, printWarnings } from './project.ts'
import type { Terminal } from './terminal.ts'

export interface ReportOptions extends CommonOptions {
  readonly json?: boolean
  /** True without a file's name. */
  readonly html?: string | true
  readonly list?: boolean
}

/** Throws `TESTDB_REPORT_MISSING` when there is no such run on record. */
export async function report(run: string | undefined, options: ReportOptions, terminal: Terminal): Promise<number> {
  if (options.list && (run !== undefined || options.html !== undefined))
    throw new WrongUsage('--list goes with --json only')
  if (options.json && options.html !== undefined) throw new WrongUsage('--json and --html are two forms of one report')
  printWarnings(terminal)
  const folder = reportsFolder((await loadProject(options)).root)
  if (options.list) return list(folder, options, terminal)
  const found = collectRun(path.join(folder, choose(folder, run)))
  if (found === undefined) throw missing(folder, `the record of the run ${run ?? ''} is empty`)
  if (options.html !== undefined) await writePage(found, folder, options, terminal)
  else if (options.json) terminal.out(JSON.stringify(found, null, 2))
  else for (const line of describeRun(found)) terminal.out(line)
  return 0
}

/** A run by its name, or by a part of it that no other has; without one the last that began. */
function choose(folder: string, part: string | undefined): string {
  const runs = listRuns(folder)
  const [last] = runs
  if (last === undefined) throw missing(folder, 'no run is on record')
  if (part === undefined) return last
  const found = runs.filter((name) => name === part || name.includes(part))
  if (found[0] === undefined) throw missing(folder, `no run on record is called ${part}; the last one is ${last}`)
  const exact = found.find((name) => name === part)
  if (exact === undefined && found.length > 1)
    throw new WrongUsage(`"${part}" means ${found.length} runs: ${found.join(', ')}`)
  return exact ?? found[0]
}

function list(folder: string, { json }: ReportOptions, { out }: Terminal): number {
  const runs = listRuns(folder).flatMap((name) => collectRun(path.join(folder, name)) ?? [])
  const short = ({ run, project, runner, startedAt, durationMs, state, problems }: RunReport) => {
    return { run, project, runner, startedAt, durationMs, state, problems }
  }
  if (json) out(JSON.stringify(runs.map(short), null, 2))
  else
    for (const one of runs) {
      const mark = one.problems[0] ? MARKS[one.problems[0].severity] : '✓'
      out(`${mark} ${one.run} · ${one.runner} in ${one.project} · ${oneLineOf(one)}`)
    }
  return 0
}

async function writePage(
  found: RunReport,
  folder: string,
  { html, cwd }: ReportOptions,
  { out }: Terminal,
): Promise<void> {
  const { renderPage } = await import('../report/html/page.ts')
  const place = path.join(folder, found.run)
  const file = html === true ? path.join(place, 'report.html') : path.resolve(cwd ?? '.', html ?? '')
  if (html !== true && !existsSync(path.dirname(file))) throw new WrongUsage(`there is no folder ${path.dirname(file)}`)
  writeFileSync(file, renderPage(found))
  out(file)
}

const missing = (folder: string, what: string): TestDbError =>
  new TestDbError('TESTDB_REPORT_MISSING', `${what} in ${folder}`)
