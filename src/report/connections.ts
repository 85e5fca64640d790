/** The server's sessions over time, and the statements that were seen to take long. */

import { QUERY_MS, severityOf, severityOfShare } from '../thresholds.ts'
import { type Entry, only } from './read-log.ts'
import type { ConnectionsEntry, SlowQuery, StatementEntry } from './run-report.ts'
import { round } from './timing.ts'
import { type Hold, holderAt } from './workers.ts'

export function connectionsOf(entries: readonly Entry[], holds: readonly Hold[]): ConnectionsEntry {
  const samples = only(entries, 'connections.sampled').map(({ atMs, total, limit, databases }) => {
    const own = databases.filter(({ name }) => holderAt(holds, name, atMs) !== undefined)
    return { atMs, total, limit, own: own.reduce((sum, { connections }) => sum + connections, 0) }
  })
  const top = samples.reduce<(typeof samples)[number] | undefined>(
    (best, one) => (best && best.total >= one.total ? best : one),
    undefined,
  )
  const limit = top?.limit ?? null
  return {
    limit,
    peak: top?.total ?? null,
    peakAtMs: top?.atMs ?? null,
    ownPeak: top === undefined ? null : Math.max(...samples.map(({ own }) => own)),
    severity: severityOfShare(top?.total ?? 0, limit),
    samples: samples.map(({ atMs, total, own }) => ({ atMs, total, own })),
  }
}

/** In the report at most. */
const MOST = 20
/** Two looks that see one statement disagree on its begin by the time they take (ms). */
const SAME_MS = 50

interface Files {
  readonly name: string
  readonly files: readonly { readonly file: string; readonly startMs: number; readonly endMs: number | null }[]
}

/** The slowest first. Those of other people's databases are none of the run's. */
export function slowQueriesOf(
  entries: readonly Entry[],
  holds: readonly Hold[],
  workers: readonly Files[],
): SlowQuery[] {
  const found: (SlowQuery & { pid: number })[] = []
  for (const { atMs, slow } of only(entries, 'connections.sampled')) {
    for (const { pid, query, database, applicationName, elapsedMs, waitsFor } of slow) {
      const worker = holderAt(holds, database, atMs) ?? null
      if (worker === null ? !BUILDING.test(applicationName) : OURS.test(applicationName)) continue
      const startMs = Math.max(0, Math.round(atMs - elapsedMs))
      const file = workers
        .find(({ name }) => name === worker)
        ?.files.findLast((one) => one.startMs <= atMs && (one.endMs ?? Infinity) >= startMs)?.file
      const seen = { pid, query, database, applicationName, startMs, durationMs: elapsedMs, waitsFor }
      const one = { ...seen, worker, file: file ?? null, severity: severityOf(elapsedMs, QUERY_MS) }
      const same = found.findIndex((other) => other.pid === pid && Math.abs(other.startMs - startMs) < SAME_MS)
      if (same === -1) found.push(one)
      else found[same] = { ...one, startMs: found[same]?.startMs ?? startMs }
    }
  }
  return found
    .sort((a, b) => b.durationMs - a.durationMs)
    .slice(0, MOST)
    .map(({ pid: _, ...query }) => query)
}

/** Sessions of ours that build a template, this run's or the one that it waits for. */
const BUILDING = /^testdb (migrate|seed)/
/** Sessions of ours that are no test's; they wait for a living. */
const OURS = /^testdb /

/** Of the databases that the run has held; the same statement on several of them is one. */
export function statementsOf(entries: readonly Entry[], holds: readonly Hold[]): StatementEntry[] {
  const own = new Set(holds.map(({ database }) => database))
  const found = new Map<string, { calls: number; totalMs: number; maxMs: number | null }>()
  for (const { database, query, calls, totalMs, maxMs } of only(entries, 'statements.counted').flatMap(
    (one) => one.statements,
  )) {
    if (!own.has(database)) continue
    const known = found.get(query) ?? { calls: 0, totalMs: 0, maxMs: null }
    found.set(query, {
      calls: known.calls + calls,
      totalMs: known.totalMs + totalMs,
      maxMs: maxMs === null ? known.maxMs : Math.max(known.maxMs ?? 0, maxMs),
    })
  }
  return [...found]
    .map(([query, { calls, totalMs, maxMs }]) => {
      return { query, calls, totalMs: round(totalMs), meanMs: round(totalMs / calls), maxMs: maxMs && round(maxMs) }
    })
    .sort((a, b) => (b.maxMs ?? b.meanMs) - (a.maxMs ?? a.meanMs))
    .slice(0, MOST)
}
