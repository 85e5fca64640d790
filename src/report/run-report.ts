/**
 * The stable shape of a run's report: `report.json` in the cache folder, and `testdb report --json`. Keys are added in later versions,
 * never renamed or removed. Times are milliseconds since the start of the run, unless a name says otherwise.
 */
import type { Severity } from '../thresholds.ts'

export interface RunReport {
  readonly format: 1
  /** The name of the run, which `testdb report` takes. */
  readonly run: string
  readonly project: string
  readonly runner: string
  readonly root: string
  readonly pid: number
  /** ISO 8601. */
  readonly startedAt: string
  readonly durationMs: number
  /** `killed`: its process has gone without an end. */
  readonly state: 'finished' | 'failed' | 'killed' | 'running'
  /** Why it did not start. */
  readonly failure: { readonly atMs: number; readonly code: string | null; readonly message: string } | null
  readonly server: {
    readonly kind: string
    readonly summary: string
    readonly attached: boolean
    readonly startMs: number
  } | null
  /** Until the first worker could begin; null when it never could. */
  readonly setUpMs: number | null
  readonly pool: { readonly max: number | null; readonly connectionLimit: number | null; readonly slots: number | null }
  readonly templates: readonly TemplateEntry[]
  readonly migrations: readonly (Span & { readonly name: string; readonly index: number; readonly total: number })[]
  readonly seeds: readonly { readonly atMs: number; readonly name: string }[]
  readonly waits: readonly Wait[]
  readonly databases: readonly DatabaseEntry[]
  readonly clones: Timing
  readonly resets: Timing & { readonly byStrategy: Readonly<Record<string, Timing>> }
  readonly workers: readonly WorkerEntry[]
  readonly connections: ConnectionsEntry
  readonly acquires: {
    readonly count: number
    readonly failed: number
    readonly meanMs: number | null
    readonly maxMs: number | null
    readonly slow: number
    readonly severity: Severity
  }
  readonly slowQueries: readonly SlowQuery[]
  /** What `pg_stat_statements` has counted on the run's databases, the slowest first; empty where the server does not count. */
  readonly statements: readonly StatementEntry[]
  readonly findings: readonly FindingEntry[]
  readonly warnings: readonly {
    readonly atMs: number
    readonly process: string
    readonly message: string
    readonly count: number
  }[]
  readonly recovered: readonly {
    readonly atMs: number
    readonly what: string
    readonly cause: string
    readonly downMs: number
  }[]
  readonly healed: readonly {
    readonly atMs: number
    readonly database: string
    readonly table: string
    readonly found: string
  }[]
  /** What somebody should look at, the worst first. */
  readonly problems: readonly Problem[]
}

/** `endMs` is null where it was never over. */
export interface Span {
  readonly startMs: number
  readonly endMs: number | null
}

export interface TemplateEntry extends Span {
  readonly name: string
  readonly how: 'built' | 'reused' | 'failed'
  readonly migrations: number | null
  readonly message: string | null
}

export interface Wait extends Span {
  readonly kind: 'leader' | 'lock' | 'connections'
  /** For people: for what. */
  readonly what: string
  /** For people: who has it. */
  readonly holders: readonly string[]
  readonly waitedMs: number
  /** The start failed while it lasted. */
  readonly failed: boolean
  readonly severity: Severity
  readonly process: string
}

export interface DatabaseEntry {
  readonly name: string
  readonly process: string
  readonly atMs: number
  readonly created: boolean
  readonly durationMs: number
}

export interface Timing {
  readonly count: number
  readonly totalMs: number
  readonly medianMs: number | null
  readonly p95Ms: number | null
  readonly maxMs: number | null
}

export interface WorkerEntry {
  readonly name: string
  readonly databases: readonly string[]
  readonly files: readonly (Span & { readonly file: string; readonly finished: boolean })[]
  /** The most sessions that were seen on its databases together. */
  readonly peak: number
  /** `CONNECTION LIMIT` of its databases together. */
  readonly limit: number | null
  /** The most connections that one pool of the worker had; null when none was used. */
  readonly poolPeak: number | null
  readonly severity: Severity
}

export interface ConnectionsEntry {
  /** What the server lets everybody have together; null when nobody looked. */
  readonly limit: number | null
  readonly peak: number | null
  readonly peakAtMs: number | null
  /** The most that the run's own databases had. */
  readonly ownPeak: number | null
  readonly severity: Severity
  readonly samples: readonly { readonly atMs: number; readonly total: number; readonly own: number }[]
}

export interface SlowQuery {
  readonly query: string
  readonly database: string
  readonly applicationName: string
  readonly startMs: number
  /** As long as it was seen to run. */
  readonly durationMs: number
  readonly waitsFor: string | null
  readonly worker: string | null
  readonly file: string | null
  readonly severity: Severity
}

export interface StatementEntry {
  readonly query: string
  readonly calls: number
  readonly totalMs: number
  readonly meanMs: number
  /** Null where one before the run was longer. */
  readonly maxMs: number | null
}

export interface FindingEntry {
  readonly atMs: number
  readonly guard: string
  readonly level: 'error' | 'warn'
  readonly test: string | null
  readonly file: string | null
  readonly message: string
  readonly worker: string
}

export interface Problem {
  readonly severity: Exclude<Severity, 'ok'>
  /** One line. */
  readonly text: string
}
