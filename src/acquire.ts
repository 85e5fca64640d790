/**
 * What a worker needs, and no more: lease a database of the run, point the environment at it. Loads neither the
 * configuration nor a migration tool, because runners with isolation load it once per test file.
 */
import { acquireLease } from './databases/allocator.ts'
import type { RunContext } from './databases/context.ts'
import { WorkerDatabase } from './databases/database.ts'
import { acquireFresh } from './databases/fresh.ts'
import { isTestDbError, messageOf, TestDbError } from './errors.ts'
import { isConnectionLoss, isSqlState } from './postgres/index.ts'

export interface AcquireWorkerOptions {
  /** Number or name of the worker, for `application_name`. */
  readonly slot: string
}

/**
 * Leases a database of the run. Throws `TESTDB_SERVER_UNREACHABLE` when the run's server is gone, `TESTDB_SERVER_LOST` when it
 * goes meanwhile.
 */
export async function acquireDatabase(context: RunContext, options: AcquireWorkerOptions): Promise<WorkerDatabase> {
  if (context.shared !== undefined) return new WorkerDatabase(context, context.shared, options.slot)
  const acquire = context.scope === 'worker' ? acquireLease : acquireFresh
  const lease = await acquire(context, options.slot).catch((error: unknown) => {
    throw explained(error, context)
  })
  return new WorkerDatabase(context, lease, options.slot)
}

/** What the driver says of a lost connection, or the server of a template that went with its run's session, means nothing to a user. */
function explained(error: unknown, { template }: RunContext): unknown {
  if (isTestDbError(error)) return error
  const pruned = isSqlState(error, 'invalidCatalogName')
  if (!pruned && !isConnectionLoss(error)) return error
  const why = pruned ? `the template ${template?.name} is gone, because the run has lost its session` : messageOf(error)
  return new TestDbError('TESTDB_SERVER_LOST', `this worker got no database: ${why}`, { cause: error })
}

/** The variables that make unchanged code find the database. */
export function databaseEnvironment(context: RunContext, database: WorkerDatabase): Record<string, string> {
  if (context.env === false) return {}
  const { host, port, user, password, ssl } = database.target
  const variables: Record<string, string> = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database.name,
  }
  if (password !== undefined) variables.PGPASSWORD = password
  if (ssl === false) variables.PGSSLMODE = 'disable'
  for (const name of context.env) variables[name] = database.url
  return variables
}
