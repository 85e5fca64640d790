/** The stable shape of `testdb status --json`. Keys are added in later versions, never renamed or removed. */
import type { MigrationStep } from '../../events.ts'
import { CONNECTIONS_PERCENT, type Severity, severityOf } from '../../thresholds.ts'

export interface StatusReport {
  readonly project: string
  readonly servers: readonly ServerStatus[]
}

export interface ServerStatus {
  readonly kind: 'embedded' | 'url' | 'testcontainers'
  readonly running: boolean
  /** For example `18.4`; null when it is not known because the server is stopped. */
  readonly version: string | null
  /** Host and port, for a URL with user and database; never a password. */
  readonly place: string | null
  /** What is only known of a server that testdb starts. */
  readonly embedded: EmbeddedDetails | null
  /** The same of a container. */
  readonly container: ContainerDetails | null
  readonly connections: Connections | null
  /** Why there is no more to see. */
  readonly problem: string | null
  readonly runs: readonly RunStatus[]
  readonly templates: readonly TemplateStatus[]
  readonly databases: readonly DatabaseStatus[]
  readonly schemas: readonly SchemaStatus[]
  readonly activity: ActivityStatus
  readonly waits: WaitsStatus
}

/** A session on one of the databases that testdb knows on this server. */
export interface SessionStatus {
  readonly pid: number
  readonly applicationName: string
  readonly user: string | null
  readonly database: string | null
  readonly state: string | null
  /** Its statement, or its last; null when the asking role may not see it, and when it mentions a password. */
  readonly query: string | null
}

/** The oldest first, five of each at most. */
export interface ActivityStatus {
  readonly queries: readonly (SessionStatus & { readonly durationMs: number; readonly severity: Severity })[]
  readonly transactions: readonly (SessionStatus & { readonly durationMs: number })[]
}

export interface WaitsStatus {
  /** Runs that wait for their part of the server's connections. */
  readonly runs: readonly { readonly id: number; readonly project: string; readonly waitingMs: number }[]
  /** Runs that wait for the process that builds their template. */
  readonly followers: readonly {
    readonly id: number
    readonly project: string
    readonly template: string | null
    readonly leader: { readonly pid: number; readonly host: string }
  }[]
  readonly blocked: readonly BlockedStatus[]
}

/** A session that waits for a lock, and those who are in its way. */
export interface BlockedStatus extends SessionStatus {
  readonly waitingMs: number
  readonly by: readonly SessionStatus[]
}

export interface EmbeddedDetails {
  readonly major: number
  readonly pid: number | null
  readonly supervisorPid: number | null
  readonly kept: boolean
  readonly storage: 'memory' | 'disk' | null
  readonly dataDir: string | null
  readonly cacheDir: string
  readonly log: string
}

export interface ContainerDetails {
  readonly image: string
  readonly supervisorPid: number | null
  readonly kept: boolean
  readonly log: string
}

export type { Severity }

export interface Connections {
  readonly used: number
  readonly max: number
  readonly percent: number
  readonly severity: Severity
}

export interface RunStatus {
  readonly id: number
  readonly project: string
  readonly runner: string
  readonly pid: number
  readonly host: string
  readonly ageSeconds: number
  readonly templateId: number | null
  /** What it may open in all, its own session included. */
  readonly connections: number
  /** Databases at the same time at most, and the limit of each; null before it has its part of the server's connections. */
  readonly slots: number | null
  readonly connectionLimit: number | null
  /** True while it waits for its part. */
  readonly waiting: boolean
}

export interface TemplateStatus {
  readonly id: number
  /** Null where the shared database itself is migrated. */
  readonly name: string | null
  readonly hash: string
  readonly project: string
  readonly summary: string
  readonly state: 'missing' | 'building' | 'sealed' | 'failed'
  readonly migrations: number | null
  readonly buildMs: number | null
  readonly lastUsed: string
  readonly bytes: number | null
  /** The process that builds it; `alive` is false when it has died. */
  readonly leader: { readonly pid: number; readonly host: string; readonly alive: boolean } | null
  readonly step: MigrationStep | null
  readonly error: { readonly code: string; readonly what: string } | null
}

export interface DatabaseStatus {
  readonly name: string
  readonly template: string | null
  readonly project: string
  readonly state: 'creating' | 'ready' | 'dropping'
  /** The session on the server that holds the lease; null when it is idle. */
  readonly lease: { readonly backendPid: number; readonly applicationName: string } | null
  readonly runId: number
  readonly bytes: number | null
  readonly connections: number
  readonly connectionLimit: number | null
  /** Connections against that limit; null without one. */
  readonly percent: number | null
  readonly severity: Severity
}

/** What stands for a worker's database with `isolation: 'schema'`. */
export interface SchemaStatus {
  readonly name: string
  readonly project: string
  readonly hash: string
  readonly state: 'wanted' | 'making' | 'failed' | 'ready' | 'held' | 'dropping'
  /** The session that makes, uses or drops it; null when nobody does. */
  readonly lease: { readonly backendPid: number; readonly applicationName: string } | null
  /** The run that it is set aside for, alive or not. */
  readonly runId: number | null
}

export function measure(used: number, max: number): Connections {
  const percent = Math.round((used / max) * 100)
  return { used, max, percent, severity: severityOf(percent, CONNECTIONS_PERCENT) }
}
