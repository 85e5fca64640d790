/** What a user may write in `testdb.config.*` (DESIGN: the public contract) and what the rest of testdb is given. */
import type { EventName, Events } from '../events.ts'
import type { GuardLevels, GuardsConfig } from '../guards/levels.ts'
import type { MigratorDefinition } from '../migrators/migrator.ts'
import type { SeedFunction } from '../migrators/seed.ts'
import type { PoolLimits } from '../postgres/index.ts'

export type { SeedContext, SeedFunction } from '../migrators/seed.ts'

export interface EmbeddedServerConfig {
  readonly kind: 'embedded'
  /** Where the data lies. `auto`: memory when it is safe and large enough, else disk. @default 'auto' */
  readonly storage?: 'auto' | 'memory' | 'disk'
  /** TCP port on loopback. @default a free one */
  readonly port?: number
}

export interface UrlServerConfig {
  readonly kind: 'url'
  /** Connection string of an existing server; its database is where testdb coordinates. Default: TESTDB_URL. */
  readonly url?: string
  /** Says that this server is for tests although its database's name does not. @default false */
  readonly allow?: boolean
}

export interface TestcontainersServerConfig {
  readonly kind: 'testcontainers'
  /** Image with its tag; its Postgres is 14 or newer, and its entry point takes POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB. @default 'postgres:18' */
  readonly image?: string
}

export interface PgMemServerConfig {
  readonly kind: 'pg-mem'
}

export type ServerConfig = EmbeddedServerConfig | UrlServerConfig | TestcontainersServerConfig | PgMemServerConfig
export type Isolation = 'database' | 'schema' | 'shared'
export type ResetName = 'rows' | 'truncate' | 'rollback' | 'clone' | 'none'
export type OnDdl = 'defer' | 'recreate'
export type Scope = 'worker' | 'file' | 'test'

/** One of several databases of a project: what would otherwise be said of the only one. */
export interface NamedDatabaseConfig {
  readonly migrator: MigratorDefinition
  readonly seed?: string | SeedFunction
  /** Variables that get its URL. @default DATABASE_URL for the first one, AUDIT_DATABASE_URL for one that is called `audit` */
  readonly env?: readonly string[] | false
  readonly extensions?: readonly string[]
  readonly hash?: TestDbConfig['hash']
}

/** The keys that each of several databases has for itself. */
export const PER_DATABASE = ['migrator', 'seed', 'env', 'extensions', 'hash.include', 'hash.env'] as const

/** The argument of `defineConfig`. Every key is optional. */
export interface TestDbConfig {
  readonly server?: ServerConfig
  /** How the template is migrated. Default: detected from the project, and printed once. */
  readonly migrator?: MigratorDefinition
  /**
   * Several databases for each worker, by names of your choice, instead of `migrator`, `seed`, `env`, `extensions` and `hash` for one.
   * `db` is the first, `db.named.audit` the one that is called `audit`.
   */
  readonly databases?: Readonly<Record<string, NamedDatabaseConfig>>
  /** File (.sql, .js, .ts, …), folder of such files, or function; becomes part of the template. */
  readonly seed?: string | SeedFunction
  /**
   * `database`: each worker has its own; `schema`: each worker has a schema of its own in the database of the server's URL, for roles
   * that may not create databases; `shared`: all use the one of the server's URL. @default 'database'
   */
  readonly isolation?: Isolation
  /** How a database is put back between tests. @default 'rows', with `isolation: 'schema'` 'truncate', with `'shared'` 'none' */
  readonly reset?: ResetName
  /**
   * After a test that changed the schema, when sessions are open on its database: `defer` replaces it after the file, `recreate`
   * ends the sessions and replaces it at once. @default 'defer'
   */
  readonly onDdl?: OnDdl
  /** Who shares a database: all files of a `worker`, the tests of a `file`, or nobody (`test`). @default 'worker' */
  readonly scope?: Scope
  /** Keep the database of a failed test and print its address; a day at most, and ten of a project. @default false */
  readonly keepOnFailure?: boolean
  /** Limits of each pool that testdb makes or configures (`db.pool`, `db.knex()`, `db.connection`, `db.knexConfig()`). */
  readonly pool?: {
    /** Connections at most; `auto`: what the server's connections allow for so many workers, 10 at most. @default 'auto' */
    readonly max?: number | 'auto'
    /** Milliseconds to wait for a free connection. @default 5_000 */
    readonly acquireMs?: number
    /** Milliseconds an unused connection stays open. @default 30_000 */
    readonly idleMs?: number
    /** Milliseconds after which a connection is replaced when it is given back. @default 1_800_000 */
    readonly lifetimeMs?: number
    /** Milliseconds after which the server cancels a statement. @default 30_000 */
    readonly statementMs?: number
    /** Milliseconds after which the server ends a session that idles in a transaction. @default 60_000 */
    readonly idleInTransactionMs?: number
  }
  /** Variables that get the URL of the worker's database. PG* are set too, unless this is false. @default ['DATABASE_URL'] */
  readonly env?: readonly string[] | false
  readonly role?: {
    /** Migrate and test as a superuser. @default false */
    readonly superuser?: boolean
  }
  /** Extensions that the admin role creates before migrating. @default [] */
  readonly extensions?: readonly string[]
  readonly hash?: {
    /** Globs of files that migrations depend on beyond their own folder. @default [] */
    readonly include?: readonly string[]
    /** Names of environment variables that migrations depend on. @default [] */
    readonly env?: readonly string[]
  }
  /** Milliseconds that the embedded server outlives its last session. @default 60_000, in CI 5_000 */
  readonly idle?: number
  /** What a test may not leave behind, each `error`, `warn` or `off`: docs/guards.md. */
  readonly guards?: GuardsConfig
  /** The record of each run, which `testdb report` shows: docs/report.md. */
  readonly report?: ReportConfig
  /** Gets what testdb has to tell beside errors (warnings, findings, what was recovered), instead of stderr. */
  readonly logger?: Logger
  /** Gets every event of testdb in this process, for your own metrics. It may not throw. */
  readonly onEvent?: EventListener
}

export interface ReportConfig {
  /** At the end of a run, to stderr: one line when all is well and a table when not, only the table, or nothing. @default 'always' */
  readonly print?: 'always' | 'problems' | 'never'
  /** Runs whose record is kept in the cache folder; 0: none is written. @default 10 */
  readonly keep?: number
}

/** `console`, pino, winston: whatever has these. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** One event with its name. */
export type TestDbEvent = { readonly [N in EventName]: { readonly name: N } & Events[N] }[EventName]
export type EventListener = (event: TestDbEvent) => void

/** A complete configuration: every default filled in, every relative path still relative to `root`. */
export interface ResolvedConfig {
  /** Folder of the configuration file, or of the package.json: what relative paths are taken from. */
  readonly root: string
  /** Absolute path of the file the configuration came from, if there is one. */
  readonly file: string | undefined
  /** Name for people and for application_name: the package's name, or the folder's. */
  readonly project: string
  readonly environment: string
  readonly server: ServerConfig
  readonly migrator: MigratorDefinition | undefined
  readonly seed: string | SeedFunction | undefined
  readonly isolation: Isolation
  readonly reset: ResetName
  readonly onDdl: OnDdl
  readonly scope: Scope
  readonly keepOnFailure: boolean
  readonly pool: Omit<PoolLimits, 'max'> & { readonly max: number | 'auto' }
  readonly env: readonly string[] | false
  readonly role: { readonly superuser: boolean }
  readonly extensions: readonly string[]
  readonly hash: { readonly include: readonly string[]; readonly env: readonly string[] }
  readonly idle: number
  readonly guards: GuardLevels
  readonly report: Required<ReportConfig>
  readonly logger: Logger | undefined
  readonly onEvent: EventListener | undefined
  /** What the configuration calls the database that all of this is about; `main` where it has no `databases`. */
  readonly databaseName: string
  /** The same for each further database of the project. */
  readonly others: readonly ResolvedConfig[]
  /** Where each value came from, by its path (`pool.max`): for `testdb doctor`. */
  readonly origins: Readonly<Record<string, 'option' | 'environment' | 'file' | 'default'>>
}
