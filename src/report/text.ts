/** The report for people, as lines: what went wrong first, then what happened. */
import { formatDuration, oneLine, plural } from './format.ts'
import type { RunReport } from './run-report.ts'
import { describe, ms, oneLineOf } from './summary.ts'

/** Of each list. */
const MOST = 10

export function describeRun(report: RunReport): string[] {
  const { run, project, runner, startedAt, durationMs, problems } = report
  const when = startedAt.slice(0, 19).replace('T', ' ')
  return [
    oneLine(
      `run ${run} · ${runner} in ${project} · ${when} UTC · ${describeEnd(report)} ${formatDuration(durationMs)}`,
    ),
    oneLineOf(report),
    ...(problems.length === 0 ? ['no problems'] : ['', plural(problems.length, 'problem'), ...problems.map(describe)]),
    ...section('start', startOf(report)),
    ...section('waits', report.waits.map(describeWait)),
    ...section('workers', workersOf(report)),
    ...section('connections', connectionsOf(report)),
    ...section('resets', resetsOf(report)),
    ...section('slowest statements', report.slowQueries.map(describeQuery)),
    ...section('statements, as the server has counted them', report.statements.map(describeStatement)),
    ...section('findings', report.findings.map(describeFinding), Infinity),
    ...section(
      'warnings',
      report.warnings.map(({ message, count }) => oneLine(message) + (count > 1 ? ` (${count} times)` : '')),
    ),
  ]
}

const section = (title: string, lines: readonly string[], most = MOST): string[] => {
  if (lines.length === 0) return []
  const left = lines.length > most ? [`  … and ${lines.length - most} more`] : []
  return ['', title, ...lines.slice(0, most).map((line) => `  ${oneLine(line)}`), ...left]
}

export const describeEnd = ({ state }: Pick<RunReport, 'state'>): string =>
  ({ finished: 'took', failed: 'failed after', killed: 'ended from outside after', running: 'under way for' })[state]

function startOf({ server, templates, migrations, clones, databases, setUpMs, failure }: RunReport): string[] {
  const lines: string[] = []
  if (server) lines.push(`${server.summary}, ${server.attached ? 'was there' : 'started'}: ${ms(server.startMs)}`)
  for (const { name, how, startMs, endMs, migrations: count } of templates) {
    const took = endMs === null ? '' : ` in ${ms(endMs - startMs)}`
    lines.push(`template ${name} ${how}${took}${count === null ? '' : `, ${plural(count, 'migration')}`}`)
  }
  const timed = migrations.map((one) => ({ ...one, took: (one.endMs ?? one.startMs) - one.startMs }))
  for (const { name, took, endMs } of timed.sort((a, b) => b.took - a.took).slice(0, 3))
    lines.push(`migration ${name}: ${endMs === null ? 'never ended' : ms(took)}`)
  if (clones.count > 0)
    lines.push(`${plural(clones.count, 'clone')}: median ${ms(clones.medianMs)}, ${ms(clones.totalMs)} in all`)
  const names = new Set(databases.map(({ name }) => name))
  if (names.size > 0) lines.push(`${plural(names.size, 'database')}, leased ${plural(databases.length, 'time')}`)
  if (setUpMs !== null) lines.push(`ready after ${ms(setUpMs)}`)
  if (failure) lines.push(oneLine(`${failure.code ?? 'error'} after ${ms(failure.atMs)}: ${failure.message}`))
  return lines
}

export function describeWait({ kind, what, waitedMs, holders, failed }: RunReport['waits'][number]): string {
  const subject = kind === 'leader' ? `another process that builds ${what}` : what
  const by = holders.length === 0 ? '' : `${kind === 'leader' ? ': ' : ', held by '}${oneLine(holders.join('; '))}`
  return `${ms(waitedMs)}${failed ? ', in vain,' : ''} for ${subject}${by}`
}

function workersOf({ workers }: RunReport): string[] {
  return workers.map(({ name, files, peak, limit, poolPeak, databases }) => {
    const busy = files.reduce((sum, { startMs, endMs }) => sum + ((endMs ?? startMs) - startMs), 0)
    const sessions = limit === null ? `${peak} connections` : `peak ${peak} of ${limit} connections`
    const pool = poolPeak === null ? '' : `, ${poolPeak} in one pool`
    return `${name}: ${plural(files.length, 'file')} in ${ms(busy)} · ${sessions}${pool} · ${databases.join(', ')}`
  })
}

function connectionsOf({ connections, acquires }: RunReport): string[] {
  const { peak, limit, peakAtMs, ownPeak, samples } = connections
  const lines: string[] = []
  if (peak !== null) {
    const when = peakAtMs === null ? '' : ` after ${ms(peakAtMs)}`
    lines.push(`peak ${peak} of ${limit}${when}; the run's databases: ${ownPeak} (${plural(samples.length, 'look')})`)
  }
  if (acquires.count > 0) {
    const { count, meanMs, maxMs, slow, failed } = acquires
    lines.push(
      `${plural(count, 'request')} to pools: mean ${ms(meanMs)}, longest ${ms(maxMs)}, ${slow} over a second, ${failed} failed`,
    )
  }
  return lines
}

function resetsOf({ resets }: RunReport): string[] {
  return Object.entries(resets.byStrategy).map(
    ([name, { count, medianMs, p95Ms, maxMs }]) =>
      `${name}: ${count}, median ${ms(medianMs)}, p95 ${ms(p95Ms)}, longest ${ms(maxMs)}`,
  )
}

function describeQuery({ query, durationMs, file, database, waitsFor }: RunReport['slowQueries'][number]): string {
  const why = waitsFor === null ? '' : `, waiting for ${waitsFor}`
  const text = query === '' ? '(a statement that mentions a password)' : query.slice(0, 120)
  return `${ms(durationMs)}${why} · ${file ?? database} · ${oneLine(text)}`
}

function describeStatement({ query, calls, meanMs, maxMs }: RunReport['statements'][number]): string {
  return `${calls} times, mean ${ms(meanMs)}, longest ${ms(maxMs)} · ${query === '' ? '(a statement that mentions a password)' : query.slice(0, 120)}`
}

function describeFinding({ guard, level, test, file, message }: RunReport['findings'][number]): string {
  const where = [...(test === null ? [] : [`"${test}"`]), ...(file === null ? [] : [file])].join(' · ')
  return oneLine(`${level} ${guard} · ${where}: ${message}`)
}
