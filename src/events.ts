/**
 * The one seam for observers: modules publish what happened, and progress lines, logs, reports and tests subscribe.
 * Nothing is computed when nobody listens (node:diagnostics_channel). Payloads never carry a password.
 */
import { channel } from 'node:diagnostics_channel'

/** Every event and its payload. Names are `noun.pastTense` or `noun.ongoing` for things that take long. */
export interface Events {
  /** The summary is a phrase: what is being done, or waited for. */
  /** Nothing was configured, and it is not the embedded one. */
  'server.chosen': { readonly kind: string; readonly reason: string }
  'server.starting': { readonly summary: string }
  'server.started': { readonly summary: string; readonly durationMs: number; readonly attached: boolean }
  'migrator.detected': { readonly name: string; readonly summary: string; readonly reason: string }
  'leader.elected': { readonly template: string; readonly waitedMs: number; readonly takeover: boolean }
  'leader.waiting': {
    readonly template: string
    /** The process that leads, when it is known. */
    readonly leader: { readonly pid: number; readonly host: string } | undefined
    /** The migration that the leader is at, when it has said so. */
    readonly step: MigrationStep | undefined
    readonly elapsedMs: number
  }
  'migration.started': MigrationStep
  'migration.finished': MigrationStep & { readonly durationMs: number }
  'seed.started': { readonly name: string }
  'template.built': { readonly template: string; readonly migrations: number; readonly durationMs: number }
  'template.reused': { readonly template: string; readonly waitedMs: number }
  'template.failed': { readonly template: string; readonly message: string }
  'database.created': { readonly database: string; readonly durationMs: number }
  'database.acquired': { readonly database: string; readonly created: boolean; readonly durationMs: number }
  'database.reset': { readonly database: string; readonly strategy: string; readonly durationMs: number }
  'database.released': { readonly database: string }
  'database.pruned': { readonly database: string; readonly reason: string }
  'budget.waiting': {
    /** Connections that the run needs, and those that are free for it now. */
    readonly needed: number
    readonly free: number
    /** Runs that have or want theirs first, for people. */
    readonly holders: readonly string[]
    readonly elapsedMs: number
  }
  'budget.reserved': { readonly connections: number; readonly poolMax: number; readonly waitedMs: number }
  'lock.waiting': {
    readonly table: string
    readonly holders: readonly string[]
    readonly elapsedMs: number
    readonly severity: 'info' | 'warning' | 'critical'
  }
  'lock.healed': { readonly database: string; readonly table: string; readonly found: string }
  /** A protocol is between two of its states (steps.ts); what crash tests hook into. */
  'step.reached': { readonly step: string }
  /** Something worth a line that is not an error. */
  'warning.raised': { readonly message: string }
  /** A guard complains about what a test or a file has left behind. */
  'finding.raised': Finding
  /** Something was lost and got back without anybody's help: a listening session, an idle connection that the server has ended. */
  'connection.recovered': { readonly what: string; readonly cause: string; readonly downMs: number }
  /** A test file of this process begins, and has ended. */
  'file.started': { readonly file: string; readonly database: string | undefined }
  'file.finished': { readonly file: string }
  /** The server of the run was reached. */
  'server.connected': { readonly kind: string; readonly summary: string }
  /** A runner starts a run: before the server is there. */
  'run.started': RunStarted
  /** Everything is there for the first worker. Undefined where there is no server. */
  'run.ready': {
    readonly slots: number | undefined
    readonly poolMax: number | undefined
    readonly connectionLimit: number | undefined
  }
  /** The start has failed, as the runner is told. */
  'run.failed': { readonly code: string | undefined; readonly message: string }
  'run.finished': Record<never, never>
  'connections.sampled': ConnectionSample
  /** What the pools of this process were asked for since the last time. */
  'acquires.counted': AcquireCounts
  /** At the end of a run, where the server counts statements. */
  'statements.counted': StatementCounts
}

/** One complaint of a guard. */
export interface Finding {
  /** The key of the guard in the configuration. */
  readonly guard: string
  readonly level: 'error' | 'warn'
  /** Undefined where it is about the file as a whole. */
  readonly test: string | undefined
  readonly file: string | undefined
  /** For people, in one or more lines. */
  readonly message: string
  /** Plain data. */
  readonly details: Readonly<Record<string, unknown>>
}

export interface MigrationStep {
  /** File or step name as the migration tool knows it. */
  readonly name: string
  /** 1-based position among the migrations that this build runs. */
  readonly index: number
  readonly total: number
}

/** Who runs, where. */
export interface RunStarted {
  readonly runner: string
  readonly project: string
  readonly root: string
  readonly pid: number
}

/** One look at the sessions of the server. */
export interface ConnectionSample {
  /** All client sessions. */
  readonly total: number
  /** What the server lets everybody have together. */
  readonly limit: number
  readonly databases: readonly {
    readonly name: string
    readonly connections: number
    /** `CONNECTION LIMIT`; -1: none. */
    readonly limit: number
  }[]
  /** Statements that are taking long. */
  readonly slow: readonly {
    readonly pid: number
    readonly database: string
    readonly applicationName: string
    /** Shortened; empty where it mentions a password. */
    readonly query: string
    readonly elapsedMs: number
    /** What it waits for, as the server calls it (`Lock`, `Client`, …). */
    readonly waitsFor: string | null
  }[]
}

/** What `pg_stat_statements` has counted while the run lasted, of all databases of the server. */
export interface StatementCounts {
  readonly statements: readonly {
    readonly database: string
    /** Shortened, with parameters for the values; empty where it mentions a password. */
    readonly query: string
    readonly calls: number
    readonly totalMs: number
    /** Null where a longer one before the run hides it. */
    readonly maxMs: number | null
  }[]
}

/** Waits for connections of pools. */
export interface AcquireCounts {
  readonly count: number
  /** Those that got none. */
  readonly failed: number
  readonly totalMs: number
  readonly maxMs: number
  /** Longer than a second, and longer than five. */
  readonly slow: number
  readonly critical: number
  /** Connections at most of one pool. */
  readonly peak: number
}

export type EventName = keyof Events

/** One event with its name. */
export type AnyEvent = { readonly [N in EventName]: { readonly name: N; readonly payload: Events[N] } }[EventName]

/** The channel with everything that is published. */
export const ALL_EVENTS = 'testdb:*'

/** Publishes an event; free when nobody has subscribed. */
export function publish<N extends EventName>(name: N, payload: Events[N]): void {
  const events = channel(`testdb:${name}`)
  if (events.hasSubscribers) events.publish(payload)
  const all = channel(ALL_EVENTS)
  if (all.hasSubscribers) all.publish({ name, payload })
}

/** True when it would be of use to somebody to find out what an event has to say. */
export const isObserved = (name: EventName): boolean =>
  channel(`testdb:${name}`).hasSubscribers || channel(ALL_EVENTS).hasSubscribers

/** Calls `listener` for every event of this process, also for those of other copies of testdb; returns the function that ends it. */
export function subscribeAll(listener: (event: AnyEvent) => void): () => void {
  const all = channel(ALL_EVENTS)
  const onMessage = (message: unknown): void => listener(message as AnyEvent)
  all.subscribe(onMessage)
  return () => void all.unsubscribe(onMessage)
}

/** Calls `listener` for each event of that name in this process; returns the function that ends it. */
export function subscribe<N extends EventName>(name: N, listener: (payload: Events[N]) => void): () => void {
  const events = channel(`testdb:${name}`)
  const onMessage = (message: unknown): void => listener(message as Events[N])
  events.subscribe(onMessage)
  return () => void events.unsubscribe(onMessage)
}
