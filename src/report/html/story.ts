/** The run in a few sentences, for somebody who did not see it: what went wrong first. */
import { findingLine } from '../finding-line.ts'
import { formatDuration, oneLine, plural } from '../format.ts'
import type { RunReport } from '../run-report.ts'
import { describeWait } from '../text.ts'

export interface Story {
  readonly severity: 'ok' | 'warning' | 'critical'
  /** A few words. */
  readonly title: string
  readonly sentences: readonly string[]
}

export function tellStory(report: RunReport): Story {
  const severity = report.problems[0]?.severity ?? 'ok'
  return {
    severity,
    title: titleOf(report),
    sentences: [...end(report), ...wrong(report), ...begin(report), ...ran(report)].map(oneLine),
  }
}

function titleOf({ state, failure, findings, problems }: RunReport): string {
  if (failure) return 'The run did not start'
  if (state === 'killed') return 'The run was ended from outside'
  if (state === 'running') return 'The run is under way'
  const errors = findings.filter(({ level }) => level === 'error').length
  if (errors > 0) return `${plural(errors, 'test or file', 'tests or files')} left something behind`
  return problems.length === 0 ? 'All is well' : plural(problems.length, 'thing to look at', 'things to look at')
}

/** A start that failed has no more to tell than why. */
function begin({ failure, waits, setUpMs, migrations, templates }: RunReport): string[] {
  if (failure) {
    const inVain = waits.find((wait) => wait.failed)
    const stuck = migrations.find(({ endMs }) => endMs === null)
    const why = inVain
      ? `It gave up after ${formatDuration(failure.atMs)}, having waited ${describeWait({ ...inVain, failed: false })}.`
      : stuck
        ? `After ${formatDuration(failure.atMs)} migration ${stuck.index} of ${stuck.total}, ${stuck.name}, failed.`
        : `It gave up after ${formatDuration(failure.atMs)}.`
    return [why, `${failure.code ? `${failure.code}: ` : ''}${failure.message}`, 'No test ran.']
  }
  if (setUpMs === null) return ['It ended before the first test could begin.']
  const built = templates.find(({ how }) => how === 'built')
  const how = built
    ? `building the template with ${plural(built.migrations ?? 0, 'migration')}`
    : 'with a template that was there'
  const longest = waits.filter(({ startMs }) => startMs < setUpMs).sort((a, b) => b.waitedMs - a.waitedMs)[0]
  const waited =
    longest && longest.waitedMs > setUpMs / 4 ? `; most of it went into waiting ${describeWait(longest)}` : ''
  return [`It was ready after ${formatDuration(setUpMs)}, ${how}${waited}.`]
}

/** What went wrong in a run that has begun. */
function wrong({ failure, findings, slowQueries, connections, waits, setUpMs }: RunReport): string[] {
  if (failure) return []
  const sentences: string[] = []
  const [first] = [...findings].sort((a, b) => Number(b.level === 'error') - Number(a.level === 'error'))
  if (first) {
    const more = findings.length > 1 ? ` There are ${findings.length - 1} more findings.` : ''
    sentences.push(`The guard ${first.guard} found ${findingLine(first)}.${more}`)
  }
  const [slowest] = slowQueries
  if (slowest && slowest.severity !== 'ok') {
    const where = slowest.file === null ? '' : ` in ${slowest.file}`
    const why = slowest.waitsFor === 'Lock' ? ', because it waited for a lock' : ''
    sentences.push(`The slowest statement ran for ${formatDuration(slowest.durationMs)}${where}${why}.`)
  }
  const late = waits.filter(({ startMs, severity }) => setUpMs !== null && startMs >= setUpMs && severity !== 'ok')
  for (const wait of late) sentences.push(`It waited ${describeWait(wait)}.`)
  if (connections.severity !== 'ok')
    sentences.push(`The server had ${connections.peak} of its ${connections.limit} connections in use.`)
  return sentences
}

function ran({ failure, workers, durationMs }: RunReport): string[] {
  const busy = workers.filter(({ files }) => files.length > 0)
  const files = busy.reduce((sum, worker) => sum + worker.files.length, 0)
  if (failure || files === 0) return []
  return [
    `${plural(files, 'file')} ran on ${plural(busy.length, 'worker')}; the whole took ${formatDuration(durationMs)}.`,
  ]
}

function end({ state, workers, failure }: RunReport): string[] {
  if (failure || state !== 'killed') return []
  const open = workers.flatMap(({ files }) => files.filter(({ finished }) => !finished).map(({ file }) => file))
  return [
    `Its process has gone without an end${open.length > 0 ? `, during ${open.slice(0, 3).join(', ')}${open.length > 3 ? ' …' : ''}` : ''}.`,
  ]
}
