/**
 * What a worker needs, and no more: lease a database of the run, point the environment at it. Loads neither the
 * configuration nor a migration tool, because runners with isolation load it once per test file.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/**
 * Writes the run's context for processes that inherit our environment, and names it there. A file, because the context has
 * the admin's password and environments are printed. Returns what removes it.
 */
export function publishContext(context: RunContext): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'testdb-run-'))
  const file = join(folder, 'context.json')
  writeFileSync(file, JSON.stringify(context), { mode: 0o600 })
  process.env[CONTEXT_VARIABLE] = file
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  return () => {
    process.off('exit', remove)
    delete process.env[CONTEXT_VARIABLE]
    remove()
  }
}

/** Reads the run's context; throws `TESTDB_RUN_MISSING` when the global set-up did not run. */
export function contextFromEnvironment(): RunContext {
  const file = process.env[CONTEXT_VARIABLE]
  if (!file)
    throw new TestDbError('TESTDB_RUN_MISSING', `${CONTEXT_VARIABLE} is not set in this worker (pid ${process.pid})`)
  return JSON.parse(readFileSync(file, 'utf8')) as RunContext
}
