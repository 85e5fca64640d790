/** What a run tells its workers: plain data, handed over by the runner (provide/inject) or in an environment variable. */
import type { Role } from '../coordination/index.ts'
import type { GuardLevels } from '../guards/levels.ts'
import type { ConnectionTarget, PoolLimits, ServerAddress } from '../postgres/index.ts'
import type { OnDdl, ResetName } from './reset/strategy.ts'

/** Who shares a database: all files of a worker, the tests of a file, or nobody. */
export type Scope = 'worker' | 'file' | 'test'

export interface RunContext {
  readonly runId: number
  readonly project: string
  /** Where the user's own packages (Knex) are found. */
  readonly projectRoot: string
  /** What the configuration calls this database. */
  readonly name: string
  /** The same for the further databases that each worker has beside this one. */
  readonly others?: readonly RunContext[]
  /** The maintenance database as the admin. */
  readonly admin: ConnectionTarget
  /** Where tests connect to: any driver takes it. */
  readonly address: ServerAddress
  readonly role: Role
  /** The sealed template; undefined when all workers use the one database `shared`. */
  readonly template: { readonly id: number; readonly name: string } | undefined
  readonly shared: string | undefined
  /** With a schema for each worker: which of those in the database `admin.database` are this run's. */
  readonly schemas?: { readonly hash: string } | undefined
  readonly reset: ResetName
  readonly onDdl: OnDdl
  readonly scope: Scope
  readonly keepOnFailure: boolean
  readonly guards: GuardLevels
  /** Of each pool that testdb makes or configures. */
  readonly pool: PoolLimits
  /** Sessions at most on each database, the one of its lease included. */
  readonly connectionLimit: number
  /** The run's folder in the file system, where its workers take notes; undefined where each worker leases once. */
  readonly folder?: string
  /** The configuration file, if a worker has to load it for its `logger` and `onEvent`. */
  readonly observers?: string | undefined
  /** Where the record of the run is written; undefined where none is. */
  readonly report?: string | undefined
  /** Variables that get the URL; false: the environment is left alone. */
  readonly env: readonly string[] | false
}

/** The variable that names the file with the context, where a runner has no channel of its own. */
export const CONTEXT_VARIABLE = 'TESTDB_RUN'

/** Where the tests of this run reach a database. */
export function testTarget(context: RunContext, database: string): ConnectionTarget {
  return { ...context.address, user: context.role.user, password: context.role.password, database }
}
