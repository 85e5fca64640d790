/** What a run waited for: another process that builds the template, a lock of migrations, connections of the server. */

import { MIGRATION_WAIT_MS, severityOf } from '../thresholds.ts'
import type { Entry } from './read-log.ts'
import type { Wait } from './run-report.ts'

/** Shorter ones are not worth a line (ms). */
const SHORTEST_MS = 50

type Waiting = Entry<'leader.waiting'> | Entry<'lock.waiting'> | Entry<'budget.waiting'>
const EVENTS = ['leader.waiting', 'lock.waiting', 'budget.waiting'] as const
/** What a waiting process may say meanwhile. */
const MEANWHILE = new Set(['connections.sampled', 'warning.raised', ...EVENTS])
const FAILED = new Set(['run.failed', 'template.failed'])

const isWaiting = (entry: Entry): entry is Waiting => (EVENTS as readonly string[]).includes(entry.event)

export function waitsOf(entries: readonly Entry[]): Wait[] {
  const waits: Wait[] = []
  const open = new Map<number, { first: Waiting; last: Waiting }[]>()
  const close = (pid: number, end: Entry | undefined): void => {
    for (const { first, last } of open.get(pid) ?? []) {
      const wait = describe(first, last, end)
      if (wait.waitedMs >= SHORTEST_MS) waits.push(wait)
    }
    open.delete(pid)
  }
  for (const entry of entries) {
    if (isWaiting(entry)) {
      const list = open.get(entry.pid) ?? []
      const known = list.find(({ first }) => first.event === entry.event && subjectOf(first) === subjectOf(entry))
      if (known) known.last = entry
      else list.push({ first: entry, last: entry })
      open.set(entry.pid, list)
    } else if (!MEANWHILE.has(entry.event)) close(entry.pid, entry)
  }
  for (const pid of [...open.keys()]) close(pid, undefined)
  return waits.sort((a, b) => a.startMs - b.startMs)
}

function describe(first: Waiting, last: Waiting, end: Entry | undefined): Wait {
  const startMs = Math.max(0, first.atMs - first.elapsedMs)
  const endMs = end?.atMs ?? null
  const waitedMs = Math.round((endMs ?? last.atMs) - startMs)
  return {
    kind: last.event === 'leader.waiting' ? 'leader' : last.event === 'lock.waiting' ? 'lock' : 'connections',
    what: subjectOf(last),
    holders: holdersOf(last).map(withoutSecrets),
    startMs,
    endMs,
    waitedMs,
    failed: end !== undefined && FAILED.has(end.event),
    severity: severityOf(waitedMs, MIGRATION_WAIT_MS),
    process: last.process,
  }
}

function subjectOf(wait: Waiting): string {
  if (wait.event === 'leader.waiting') return `template ${wait.template}`
  return wait.event === 'lock.waiting' ? `the lock of ${wait.table}` : `${wait.needed} connections`
}

function holdersOf(wait: Waiting): readonly string[] {
  if (wait.event !== 'leader.waiting') return wait.holders
  const { leader, step } = wait
  if (!leader) return []
  const at = step ? `, at migration ${step.index} of ${step.total}, ${step.name}` : ''
  return [`pid ${leader.pid} on ${leader.host}${at}`]
}

/** Words that go with a secret, and URLs with a password. */
const SECRET = /passw|\bpwd\b|secret|:\/\/[^\s/@]*:[^\s/@]+@/i

/** Holders come with their last statements. */
export const withoutSecrets = (text: string): string =>
  SECRET.test(text) ? `${text.slice(0, text.search(/[:,(]/) + 1 || 20)} …` : text
