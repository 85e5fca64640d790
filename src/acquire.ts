/**
 * What a worker needs, and no more: lease a database of the run, point the environment at it. Loads neither the
 * configuration nor a migration tool, because runners with isolation load it once per test file.
 */
import { acquireLease } from './databases/allocator.ts'
import type { RunContext } from './databases/context.ts'
import { type Database, WorkerDatabase } from './databases/database.ts'
import { acquireFresh } from './databases/fresh.ts'
import type { Lease } from './databases/lease.ts'
import { acquireSchema } from './databases/schemas/acquire.ts'
import { isTestDbError, messageOf, TestDbError } from './errors.ts'
import { isConnectionLoss, isSqlState, joinOptions, type Session } from './postgres/index.ts'

export interface AcquireWorkerOptions {
  /** Number or name of the worker, for `application_name`. */
  readonly slot: string
  /** A session of the maintenance database that may be used meanwhile. */
  readonly lent?: Session | undefined
}

/**
 * Leases a database of the run. Throws `TESTDB_SERVER_UNREACHABLE` when the run's server is gone, `TESTDB_SERVER_LOST` when it
 * goes meanwhile.
 */
export async function acquireDatabase(
  context: RunContext,
  { slot, lent }: AcquireWorkerOptions,
): Promise<WorkerDatabase> {
  const others: WorkerDatabase[] = []
  try {
    for (const other of context.others ?? []) {
      // Two of them may have the same template, and a worker looks for the database that it had before.
      others.push(await acquireDatabase(other, { slot: `${slot}.${other.name}` }))
    }
    return new WorkerDatabase(context, await placeOf(context, slot, lent), slot, others)
  } catch (error) {
    for (const other of others) await other.release()
    throw explained(error, context)
  }
}

async function placeOf(context: RunContext, slot: string, lent: Session | undefined): Promise<Lease | string> {
  if (context.shared !== undefined) return context.shared
  if (context.schemas) return await acquireSchema(context, slot)
  return context.scope === 'worker' ? await acquireLease(context, slot, lent) : await acquireFresh(context, slot)
}

/** What the driver says of a lost connection, or the server of a template that went with its run's session, means nothing to a user. */
function explained(error: unknown, { template }: RunContext): unknown {
  if (isTestDbError(error)) return error
  const pruned = isSqlState(error, 'invalidCatalogName')
  if (!pruned && !isConnectionLoss(error)) return error
  const why = pruned ? `the template ${template?.name} is gone, because the run has lost its session` : messageOf(error)
  return new TestDbError('TESTDB_SERVER_LOST', `this worker got no database: ${why}`, { cause: error })
}

/** The variables that make unchanged code find the database, and the others of the worker. */
export function databaseEnvironment(context: RunContext, database: WorkerDatabase): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const other of context.others ?? []) setUrl(variables, other, database.named[other.name])
  if (context.env === false) return variables
  const { host, port, user, password, ssl, parameters, options } = database.target
  Object.assign(variables, { PGHOST: host, PGPORT: String(port), PGUSER: user, PGDATABASE: database.name })
  if (password !== undefined) variables.PGPASSWORD = password
  if (ssl === false) variables.PGSSLMODE = 'disable'
  else if (parameters?.sslmode !== undefined) variables.PGSSLMODE = parameters.sslmode
  if (options !== undefined) variables.PGOPTIONS = joinOptions(process.env.PGOPTIONS, options)
  if (parameters?.sslrootcert !== undefined) variables.PGSSLROOTCERT = parameters.sslrootcert
  setUrl(variables, context, database)
  return variables
}

function setUrl(variables: Record<string, string>, { env }: RunContext, database: Database | undefined): void {
  if (env === false || database === undefined) return
  for (const name of env) variables[name] = database.url
}
