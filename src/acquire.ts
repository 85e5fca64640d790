/**
 * What a worker needs, and no more: lease a database of the run, point the environment at it. Loads neither the
 * configuration nor a migration tool, because runners with isolation load it once per test file.
 */
import { acquireLease } from './databases/allocator.ts'
import type { RunContext } from './databases/context.ts'
import { CONTEXT_VARIABLE } from './databases/context.ts'
import { WorkerDatabase } from './databases/database.ts'
import { TestDbError } from './errors.ts'

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
  const { host, port, user, password } = database.target
  const variables: Record<string, string> = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database.name,
  }
  if (password !== undefined) variables.PGPASSWORD = password
  for (const name of context.env) variables[name] = database.url
  return variables
}

/** Reads the run's context from the environment; throws `TESTDB_RUN_MISSING` when the global set-up did not run. */
export function contextFromEnvironment(): RunContext {
  const text = process.env[CONTEXT_VARIABLE]
  if (!text)
    throw new TestDbError('TESTDB_RUN_MISSING', `${CONTEXT_VARIABLE} is not set in this worker (pid ${process.pid})`)
  return JSON.parse(text) as RunContext
}
