/** What of a run somebody should look at. */

import type { Severity } from '../thresholds.ts'
import { findingLine } from './finding-line.ts'
import { formatDuration, oneLine, plural } from './format.ts'
import type { Problem, RunReport } from './run-report.ts'

/** Findings of one guard that are listed one by one. */
const EACH = 4

/** The worst first; among equals in the order of the causes: a start that failed explains the rest. */
export function problemsOf(report: Omit<RunReport, 'problems'>): Problem[] {
  const problems: Problem[] = []
  const add = (severity: Severity, text: string): void => {
    if (severity !== 'ok') problems.push({ severity, text: oneLine(text) })
  }
  const { failure, state, findings, waits, connections, workers, acquires, slowQueries, healed, recovered } = report
  if (failure) add('critical', `the run did not start: ${failure.code ? `${failure.code}: ` : ''}${failure.message}`)
  for (const wait of waits) {
    const { kind, what, waitedMs, holders, failed, severity } = wait
    const by = holders.length > 0 ? `, held by ${holders.join('; ')}` : ''
    const how = failed ? ' in vain' : ''
    const subject = kind === 'leader' ? `another process that builds ${what}` : what
    add(failed ? 'critical' : severity, `waited ${formatDuration(waitedMs)}${how} for ${subject}${by}`)
  }
  if (state === 'killed') add('warning', 'the run was ended from outside: it has no teardown')
  for (const group of groups(findings, ({ guard, level }) => `${level} ${guard}`)) {
    const [{ guard, level }] = group
    const severity = level === 'error' ? 'critical' : 'warning'
    for (const one of group.slice(0, EACH)) add(severity, `${guard}: ${findingLine(one)}`)
    if (group.length > EACH) add(severity, `${guard}: ${group.length - EACH} more of these`)
  }
  const { peak, limit } = connections
  add(connections.severity, `the server had ${peak} of ${limit} connections in use`)
  for (const worker of workers) {
    const databases = worker.databases.join(', ')
    add(worker.severity, `${worker.name} had ${worker.peak} of ${worker.limit} connections of ${databases} in use`)
  }
  if (acquires.failed > 0 || acquires.severity !== 'ok') {
    const longest = `the longest wait took ${formatDuration(acquires.maxMs ?? 0)}`
    const slow = `${plural(acquires.slow, 'request')} for a connection of a pool waited longer than a second: ${longest}`
    const failed = `${plural(acquires.failed, 'request')} for a connection of a pool got none`
    const told = [...(acquires.slow > 0 ? [slow] : []), ...(acquires.failed > 0 ? [failed] : [])].join('; ')
    add(acquires.severity === 'ok' ? 'warning' : acquires.severity, told)
  }
  const slow = slowQueries.filter((one) => one.severity !== 'ok')
  for (const group of groups(slow, ({ query, waitsFor }) => `${waitsFor === 'Lock'} ${query}`)) {
    const [{ query, durationMs, file, worker, waitsFor, severity }] = group
    const where = file ?? worker ?? 'the migrations'
    const why = waitsFor === 'Lock' ? ' waiting for a lock' : ''
    const often = group.length > 1 ? ` (${group.length} times, this was the longest)` : ''
    const text = query === '' ? 'it mentions a password' : query.slice(0, 120)
    add(severity, `a statement ran for ${formatDuration(durationMs)}${why} in ${where}${often}: ${text}`)
  }
  for (const { database, table, found } of healed)
    add('warning', `a stuck lock was healed: ${table} in ${database} (${found})`)
  for (const { what, cause, downMs } of recovered)
    add('warning', `${what} was lost and is back after ${formatDuration(downMs)}: ${cause}`)
  const lost = workers.flatMap(({ files }) => files.filter(({ finished }) => !finished).map(({ file }) => file))
  if (state === 'finished' && lost.length > 0) {
    const names = lost.slice(0, 3).join(', ') + (lost.length > 3 ? ' …' : '')
    add('warning', `${plural(lost.length, 'file')} did not come to the end: ${names}`)
  }
  return [
    ...problems.filter((one) => one.severity === 'critical'),
    ...problems.filter((one) => one.severity === 'warning'),
  ]
}

/** In the order in which the first of each comes. */
function groups<T>(all: readonly T[], keyOf: (one: T) => string): (readonly [T, ...T[]])[] {
  const found = new Map<string, [T, ...T[]]>()
  for (const one of all) {
    const known = found.get(keyOf(one))
    if (known) known.push(one)
    else found.set(keyOf(one), [one])
  }
  return [...found.values()]
}
