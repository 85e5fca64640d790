/** What goes on and who waits, one line for each. */

import { formatDuration, oneLine } from '../../report/format.ts'
import type { Severity } from '../../thresholds.ts'
import type { Terminal } from '../terminal.ts'
import type { ServerStatus, SessionStatus } from './report.ts'

/** Characters of a statement. */
const SHOWN = 100

/** Sections by their titles; an empty one is left out. */
export function describeActivity({ activity, waits }: ServerStatus, terminal: Terminal): [string, readonly string[]][] {
  const { queries, transactions } = activity
  const waiting = [
    ...waits.runs.map(
      ({ id, project, waitingMs }) =>
        `run #${id} of ${project} waits for connections · for ${formatDuration(waitingMs)}`,
    ),
    ...waits.followers.map(
      ({ id, project, template, leader }) =>
        `run #${id} of ${project} waits for ${template ?? 'the shared database'}, built by pid ${leader.pid} on ${leader.host}`,
    ),
    ...waits.blocked.map(
      (one) =>
        `${describeSession(one)} · waits for ${formatDuration(one.waitingMs)} · blocked by ${one.by.map(describeSession).join('; ')}`,
    ),
  ]
  return [
    [
      'oldest queries',
      queries.map((one) => `${mark(formatDuration(one.durationMs), one.severity, terminal)} · ${describeSession(one)}`),
    ],
    ['oldest transactions', transactions.map((one) => `${formatDuration(one.durationMs)} · ${describeSession(one)}`)],
    ['waits', waiting],
  ]
}

function describeSession({ pid, applicationName, database, state, query }: SessionStatus): string {
  const who = `pid ${pid}${applicationName === '' ? '' : ` (${oneLine(applicationName)})`}`
  const text = query === null ? undefined : oneLine(query)
  const shown = text === undefined || text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`
  return (
    [who, ...(database === null ? [] : [database]), ...(state === null ? [] : [state])].join(' · ') +
    (shown ? `: ${shown}` : '')
  )
}

/** A text that says how bad it is, in its colour. */
export function mark(text: string, severity: Severity, { colours }: Terminal): string {
  if (severity === 'ok') return text
  return (severity === 'warning' ? colours.yellow : colours.red)(`${text}, ${severity}`)
}
