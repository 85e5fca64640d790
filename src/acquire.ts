/**
 * What a worker needs, and no more: lease a database of the run, point the environment at it. Loads neither the
 * configuration nor a migration tool, because runners with isolation load it once per test file.
 */
import { acquireLease } from './databases/allocator.ts'
import type { RunContext } from './databases/context.ts'
import { WorkerDatabase } from './databases/database.ts'

export interface AcquireWorkerOptions {
  /** Number or name of the worker, for `application_name`. */
  readonly slot: string
}

/** Leases a database of the run. Throws `TESTDB_SERVER_UNREACHABLE` when the run's server is gone. */
export async function acquireDatabase(context: RunContext, options: AcquireWorkerOptions): Promise<WorkerDatabase> {
  if (context.shared !== undefined) return new WorkerDatabase(context, context.shared, options.slot)
  const lease = await acquireLease(context, options.slot)
  return new WorkerDatabase(context, lease, options.slot)
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
