/** The contract of every migration tool, as small as it can be: what it depends on (`hash`) and how it runs (`migrate`). */
import type { ConnectionTarget } from '../postgres/index.ts'
import type { KnexFactory } from './knex-types.ts'

/** What a user writes in the config, or detection finds: knows nothing yet, does nothing yet. */
export interface MigratorDefinition {
  readonly name: string
  /** The tool's own configuration file, relative to the project, where one is named; `false`: none is to be read. */
  readonly configFile?: string | false | undefined
  /**
   * Reads the project: configuration files, folders, the tool's version. Throws `TESTDB_MIGRATIONS_EMPTY` when there is
   * nothing to run, `TESTDB_PEER_MISSING` when the tool is not installed.
   */
  load(project: MigratorProject): Promise<Migrator>
}

export interface MigratorProject {
  /** Absolute folder that relative paths are taken from. */
  readonly root: string
  /** The key to take from configuration files that have one per environment; NODE_ENV, or `test`. */
  readonly environment: string
}

/** A migration tool bound to one project. */
export interface Migrator {
  readonly name: string
  /** One line for people: tool, configuration file, folders, number of migrations. */
  readonly summary: string
  /** Number of migrations. */
  readonly count: number
  /** Changes whenever the migrated database could: names and contents of files, options, tool and version. Hex. */
  hash(): Promise<string>
  /** Brings the database at `target` up to date. Throws `TESTDB_MIGRATION_FAILED` or `TESTDB_SEED_FAILED` with the tool's error as cause. */
  migrate(target: MigrationTarget): Promise<MigrationResult>
  /** The same for an emulation in this process; a tool that needs a server has none. */
  emulate?(target: EmulationTarget): Promise<MigrationResult>
  /** The tool's own tables, which a reset must not empty. */
  readonly bookkeeping: readonly TableName[]
  /** The table with the tool's lock row, if it has one that can get stuck (see heal.ts). */
  readonly lockTable?: TableName
}

export interface TableName {
  /** Undefined: found through the search path. */
  readonly schema?: string | undefined
  readonly table: string
}

export interface MigrationTarget {
  /** The database to migrate, as the role that shall own the objects. */
  readonly connection: ConnectionTarget
  /** Aborts when the caller may no longer migrate (its leader's lock is lost); stop before the next step and throw the reason. */
  readonly signal: AbortSignal
  /** Called before each migration; `index` counts from 1 to `total`, the number that this call runs. */
  onStep(step: { readonly name: string; readonly index: number; readonly total: number }): void
  /** Milliseconds a migration may wait for a table lock; for databases that other sessions use. Undefined: no limit. */
  readonly lockTimeoutMs?: number | undefined
  /** False: leave out the seeds that the tool's own configuration names; a database that others use keeps its rows. @default true */
  readonly seeds?: boolean | undefined
  /**
   * The schema that stands for the database: everything must land in it, the tool's own tables too. The sessions that `connection` opens
   * have it first in their search path already; a tool that says its own must be told. Undefined: a whole database.
   */
  readonly schema?: string | undefined
}

/** What takes the place of a server that is not there (`pg-mem`). */
export interface EmulationTarget extends Pick<MigrationTarget, 'signal' | 'onStep'> {
  /** Several statements may be given. */
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>
  /** A client class for the project's Knex that needs no driver; `client`: what the project has configured. */
  knexClient(knex: KnexFactory, client: unknown): unknown
}

export interface MigrationResult {
  /** Names of the migrations that this call ran, in order. */
  readonly applied: readonly string[]
}
