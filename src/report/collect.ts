/** Makes the report of a run: a pure function of its log. */
import { basename } from 'node:path'
import { ACQUIRE_WAIT_MS, severityOf } from '../thresholds.ts'
import { connectionsOf, slowQueriesOf, statementsOf } from './connections.ts'
import { isUnderWay } from './folders.ts'
import { problemsOf } from './problems.ts'
import { type Entry, only, readLog } from './read-log.ts'
import type { RunReport, TemplateEntry } from './run-report.ts'
import { round, timingOf } from './timing.ts'
import { waitsOf, withoutSecrets } from './waits.ts'
import { databasesOf, filesOf, holdsOf, nameOf, workersOf } from './workers.ts'

/** Reads the log in the run's folder; undefined when it says nothing. */
export function collectRun(folder: string): RunReport | undefined {
  const log = readLog(folder)
  return log && collect(basename(folder), log.start, log.entries, isUnderWay(basename(folder)))
}

/** `alive`: whether the run's process is there; the report of a run that is under way is of what has been so far. */
export function collect(run: string, start: number, entries: readonly Entry[], alive: boolean): RunReport {
  const begun = only(entries, 'run.started')[0]
  const failed = only(entries, 'run.failed')[0]
  const finished = only(entries, 'run.finished').length > 0
  const state = failed ? 'failed' : finished ? 'finished' : alive ? 'running' : 'killed'
  const root = begun?.root ?? ''
  const ready = only(entries, 'run.ready').at(-1)
  const holds = holdsOf(entries)
  const workers = workersOf(entries, filesOf(entries, root, state !== 'running'), holds)
  const resets = only(entries, 'database.reset')
  const strategies = [...new Set(resets.map(({ strategy }) => strategy))]
  const durations = (strategy?: string): number[] =>
    resets.filter((one) => strategy === undefined || one.strategy === strategy).map(({ durationMs }) => durationMs)
  const report: Omit<RunReport, 'problems'> = {
    format: 1,
    run,
    project: begun?.project ?? '',
    runner: begun?.runner ?? '',
    root,
    pid: begun?.pid ?? 0,
    startedAt: new Date(start).toISOString(),
    durationMs: entries.at(-1)?.atMs ?? 0,
    state,
    failure: failed ? { atMs: failed.atMs, code: failed.code ?? null, message: failed.message } : null,
    server: serverOf(entries),
    setUpMs: ready?.atMs ?? null,
    pool: { max: ready?.poolMax ?? null, connectionLimit: ready?.connectionLimit ?? null, slots: ready?.slots ?? null },
    templates: templatesOf(entries),
    migrations: migrationsOf(entries),
    seeds: only(entries, 'seed.started').map(({ atMs, ...seed }) => ({ atMs, name: String(seed.name) })),
    waits: waitsOf(entries),
    databases: databasesOf(entries),
    clones: timingOf(only(entries, 'database.created').map(({ durationMs }) => durationMs)),
    resets: {
      ...timingOf(durations()),
      byStrategy: Object.fromEntries(strategies.map((one) => [one, timingOf(durations(one))])),
    },
    workers,
    connections: connectionsOf(entries, holds),
    acquires: acquiresOf(entries),
    slowQueries: slowQueriesOf(entries, holds, workers),
    statements: statementsOf(entries, holds),
    findings: only(entries, 'finding.raised').map(({ atMs, guard, level, test, file, message, process }) => ({
      atMs,
      guard,
      level,
      test: test ?? null,
      file: file === undefined ? null : nameOf(root, file),
      message: withoutSecrets(message),
      worker: process,
    })),
    warnings: warningsOf(entries),
    recovered: only(entries, 'connection.recovered').map(({ atMs, what, cause, downMs }) => ({
      atMs,
      what,
      cause,
      downMs,
    })),
    healed: only(entries, 'lock.healed').map(({ atMs, database, table, found }) => ({ atMs, database, table, found })),
  }
  return { ...report, problems: problemsOf(report) }
}

function serverOf(entries: readonly Entry[]): RunReport['server'] {
  const connected = only(entries, 'server.connected')[0]
  const started = only(entries, 'server.started')[0]
  if (!connected) return null
  const { kind, summary } = connected
  return { kind, summary, attached: started?.attached ?? true, startMs: round(started?.durationMs ?? connected.atMs) }
}

function templatesOf(entries: readonly Entry[]): TemplateEntry[] {
  const nothing = { migrations: null, message: null }
  return entries.flatMap((one): TemplateEntry[] => {
    const span = (durationMs: number) => ({ startMs: Math.max(0, round(one.atMs - durationMs)), endMs: one.atMs })
    if (one.event === 'template.built')
      return [{ ...nothing, ...span(one.durationMs), name: one.template, how: 'built', migrations: one.migrations }]
    if (one.event === 'template.reused')
      return [{ ...nothing, ...span(one.waitedMs), name: one.template, how: 'reused' }]
    if (one.event !== 'template.failed') return []
    const elected = only(entries, 'leader.elected').findLast(
      ({ template, atMs }) => template === one.template && atMs <= one.atMs,
    )
    const since = one.atMs - (elected?.atMs ?? one.atMs)
    return [{ ...nothing, ...span(since), name: one.template, how: 'failed', message: withoutSecrets(one.message) }]
  })
}

/** One that never ended was interrupted, or has failed. */
function migrationsOf(entries: readonly Entry[]): RunReport['migrations'] {
  const ended = only(entries, 'migration.finished')
  return only(entries, 'migration.started').map(({ atMs, pid, name, index, total }) => {
    const end = ended.find(
      (one) => one.pid === pid && one.index === index && String(one.name) === String(name) && one.atMs >= atMs,
    )
    return { name: String(name), index, total, startMs: atMs, endMs: end?.atMs ?? null }
  })
}

function acquiresOf(entries: readonly Entry[]): RunReport['acquires'] {
  const all = only(entries, 'acquires.counted')
  const sum = (read: (one: (typeof all)[number]) => number): number => all.reduce((total, one) => total + read(one), 0)
  const count = sum((one) => one.count)
  const maxMs = count === 0 ? null : round(Math.max(...all.map((one) => one.maxMs)))
  return {
    count,
    failed: sum((one) => one.failed),
    meanMs: count === 0 ? null : round(sum((one) => one.totalMs) / count),
    maxMs,
    slow: sum((one) => one.slow),
    severity: severityOf(maxMs ?? 0, ACQUIRE_WAIT_MS),
  }
}

/** Each once, with how often it came. */
function warningsOf(entries: readonly Entry[]): RunReport['warnings'] {
  const warnings = new Map<string, { atMs: number; process: string; message: string; count: number }>()
  for (const { message, atMs, process } of only(entries, 'warning.raised')) {
    const known = warnings.get(message)
    if (known) known.count++
    else warnings.set(message, { atMs, process, message: withoutSecrets(message), count: 1 })
  }
  return [...warnings.values()]
}
