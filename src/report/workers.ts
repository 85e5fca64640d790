/** Which worker had which database when, and the files that it ran. */
import { isAbsolute, relative } from 'node:path'
import { severityOfShare } from '../thresholds.ts'
import { type Entry, only } from './read-log.ts'
import type { DatabaseEntry, Span, WorkerEntry } from './run-report.ts'

/** A worker's hold on a database. */
export interface Hold extends Span {
  readonly database: string
  readonly process: string
}

export function holdsOf(entries: readonly Entry[]): Hold[] {
  const holds: { database: string; process: string; startMs: number; endMs: number | null }[] = []
  for (const entry of entries) {
    if (entry.event !== 'database.acquired' && entry.event !== 'database.released') continue
    // Who takes it from one that is gone ends that one's hold.
    const last = holds.findLast(({ database, endMs }) => database === entry.database && endMs === null)
    if (last) last.endMs = entry.atMs
    if (entry.event === 'database.acquired')
      holds.push({ database: entry.database, process: entry.process, startMs: entry.atMs, endMs: null })
  }
  return holds
}

export const holderAt = (holds: readonly Hold[], database: string, atMs: number): string | undefined =>
  holds.findLast((one) => one.database === database && one.startMs <= atMs && (one.endMs ?? Infinity) >= atMs)?.process

export const databasesOf = (entries: readonly Entry[]): DatabaseEntry[] =>
  only(entries, 'database.acquired').map(({ database, process, atMs, created, durationMs }) => ({
    name: database,
    process,
    atMs,
    created,
    durationMs,
  }))

/** What is not about the present file: the next one's beginning, and looks from outside. */
const NO_END = new Set<string>(['connections.sampled', 'database.created', 'database.acquired', 'warning.raised'])

type OpenFile = { file: string; pid: number; startMs: number; endMs: number | null; finished: boolean }

/** `over`: nothing more can come, so a file without an end has lost its process. */
export function filesOf(entries: readonly Entry[], root: string, over: boolean): Map<string, OpenFile[]> {
  const files = new Map<string, OpenFile[]>()
  const open = new Map<string, OpenFile>()
  const lastOf = new Map<number, number>()
  const keyOf = ({ process, pid }: Entry): string => `${process} ${pid}`
  for (const entry of entries) {
    if (entry.event === 'file.started') {
      close(open.get(keyOf(entry)), lastOf)
      const file = { file: nameOf(root, entry.file), pid: entry.pid, startMs: entry.atMs, endMs: null, finished: false }
      open.set(keyOf(entry), file)
      files.set(entry.process, [...(files.get(entry.process) ?? []), file])
    } else if (entry.event === 'file.finished') {
      const file = open.get(keyOf(entry))
      if (file) Object.assign(file, { endMs: entry.atMs, finished: true })
    }
    if (!NO_END.has(entry.event)) lastOf.set(entry.pid, entry.atMs)
  }
  if (over) for (const file of open.values()) close(file, lastOf)
  return files
}

/** What its process has said last. */
function close(file: OpenFile | undefined, lastOf: ReadonlyMap<number, number>): void {
  if (file) file.endMs = Math.max(file.endMs ?? 0, lastOf.get(file.pid) ?? 0)
}

export const nameOf = (root: string, file: string): string => (isAbsolute(file) ? relative(root, file) : file)

export function workersOf(
  entries: readonly Entry[],
  files: ReadonlyMap<string, readonly OpenFile[]>,
  holds: readonly Hold[],
): WorkerEntry[] {
  const peaks = peaksOf(entries, holds)
  const acquires = only(entries, 'acquires.counted')
  const names = new Set([...files.keys(), ...holds.map((hold) => hold.process)])
  return [...names].sort(byNumber).map((name) => {
    const { peak = 0, limit = null } = peaks.get(name) ?? {}
    const pools = acquires.filter((one) => one.process === name).map((one) => one.peak)
    return {
      name,
      databases: [...new Set(holds.filter((hold) => hold.process === name).map(({ database }) => database))],
      files: (files.get(name) ?? []).map(({ pid: _, ...file }) => file),
      peak,
      limit,
      poolPeak: pools.length === 0 ? null : Math.max(...pools),
      severity: severityOfShare(peak, limit),
    }
  })
}

/** `worker 10` comes after `worker 9`. */
const byNumber = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true })

function peaksOf(
  entries: readonly Entry[],
  holds: readonly Hold[],
): Map<string, { peak: number; limit: number | null }> {
  const peaks = new Map<string, { peak: number; limit: number | null }>()
  for (const { databases, atMs } of only(entries, 'connections.sampled')) {
    const now = new Map<string, { peak: number; limit: number | null }>()
    for (const { name, connections, limit } of databases) {
      const holder = holderAt(holds, name, atMs)
      if (holder === undefined) continue
      const { peak, limit: before } = now.get(holder) ?? { peak: 0, limit: 0 }
      now.set(holder, { peak: peak + connections, limit: limit < 0 || before === null ? null : before + limit })
    }
    for (const [name, one] of now) if (one.peak > (peaks.get(name)?.peak ?? 0)) peaks.set(name, one)
  }
  return peaks
}
