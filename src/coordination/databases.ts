/** Queries on the registry's databases: the clones that workers lease. */
import type { Session } from '../postgres/index.ts'
import { databaseExists, databaseName, LOCK_SPACE, slug } from '../postgres/index.ts'
import { isBeingMade, isLeased } from './liveness.ts'

/**
 * Picks a database of the template that nobody leases, and locks its row until the transaction ends, so that of many
 * workers that start at once each looks at another one. Call it inside a transaction.
 *
 * What the same worker had before comes first: its caches are warm, and idle sessions left on it are the worker's own.
 */
export async function pickIdle(
  session: Session,
  want: {
    readonly templateId: number
    readonly runId: number
    readonly slot: string
    readonly except: readonly string[]
  },
): Promise<string | undefined> {
  const { rows } = await session.query<{ name: string }>(
    `select name from testdb.databases d
      where template_id = $1 and state = 'ready' and name <> all ($4) and not ${isLeased('d.name')}
      order by slot = $3 and run_id = $2 desc nulls last, slot = $3 desc nulls last, run_id = $2 desc, last_used desc
      for update skip locked limit 1`,
    [want.templateId, want.runId, want.slot, want.except],
  )
  return rows[0]?.name
}

/** The same for a database of the run's queue. The caller notes its use in the same transaction. */
export async function pickSpare(
  session: Session,
  want: { readonly templateId: number; readonly runId: number; readonly except: readonly string[] },
): Promise<string | undefined> {
  const { rows } = await session.query<{ name: string }>(
    `select name from testdb.databases where template_id = $1 and run_id = $2 and state = 'spare' and name <> all ($3)
      order by id for update skip locked limit 1`,
    [want.templateId, want.runId, want.except],
  )
  return rows[0]?.name
}

/** What the queue of a run has to do. */
export interface QueueState {
  readonly spares: number
  /** Clones that workers are making because there was no spare one. */
  readonly urgent: number
  /** Databases of the run that were used and given back. */
  readonly used: readonly string[]
}

export async function readQueue(session: Session, runId: number): Promise<QueueState> {
  const { rows } = await session.query<QueueState>(
    `select count(*) filter (where state = 'spare')::int as spares,
            count(*) filter (where state = 'creating' and ${isBeingMade('d.id')})::int as urgent,
            coalesce(array_agg(name order by id) filter (where state in ('once', 'dropping') and not ${isLeased('d.name')}), '{}') as used
       from testdb.databases d where run_id = $1`,
    [runId],
  )
  return rows[0] ?? { spares: 0, urgent: 0, used: [] }
}

export type DatabaseState = 'creating' | 'spare' | 'once' | 'ready' | 'dropping' | 'kept'

/** Notes that a worker of a run uses a database. */
export async function noteUse(
  session: Session,
  name: string,
  use: { readonly runId: number; readonly slot: string; readonly state: 'ready' | 'once' },
): Promise<void> {
  await session.query(
    'update testdb.databases set state = $4, run_id = $2, slot = $3, last_used = now() where name = $1',
    [name, use.runId, use.slot, use.state],
  )
}

/**
 * Registers a database before it is created: `CREATE DATABASE` finishes even when its client is killed. The lock tells
 * everybody until when; it is free when the session is closed, or when the server has finished for a client that is dead.
 */
export async function registerDatabase(
  session: Session,
  database: {
    readonly templateId: number
    readonly runId: number
    readonly slot: string | null
    readonly project: string
  },
): Promise<string> {
  const { rows } = await session.query<{ id: number }>(
    `select id, pg_advisory_lock(${LOCK_SPACE.clone}, id)
       from (select nextval(pg_get_serial_sequence('testdb.databases', 'id'))::int as id offset 0) as next`,
  )
  const id = rows[0]?.id ?? 0
  const name = databaseName(place(session, database.project), id)
  // Whatever is recorded is ours to drop, so the name of a database that is there already is never recorded.
  if (await databaseExists(session, name)) return registerDatabase(session, database)
  await session.query(
    `insert into testdb.databases (id, name, template_id, run_id, slot) overriding system value values ($1, $2, $3, $4, $5)`,
    [id, name, database.templateId, database.runId, database.slot],
  )
  return name
}

/** For a session that lives on: a lock that stayed would look like a clone that is being made. */
export async function unlockClones(session: Session): Promise<void> {
  await session.query(
    `select pg_advisory_unlock(classid::int, objid::int) from pg_locks
      where locktype = 'advisory' and classid = $1 and objsubid = 2 and pid = pg_backend_pid()`,
    [LOCK_SPACE.clone],
  )
}

/** Ids count per registry, so a name says whose it is; most registries are in `postgres`. */
function place(session: Session, project: string): string {
  const { database } = session.target
  return database === 'postgres' ? slug(project) : `${slug(project)}__${slug(database)}`
}

/** Notes that a database is being replaced; the same lock as for a new one. */
export async function noteReplacing(session: Session, name: string): Promise<void> {
  await session.query(
    `update testdb.databases set state = 'creating', last_used = now() where name = $1
     returning pg_advisory_lock(${LOCK_SPACE.clone}, id)`,
    [name],
  )
}

export async function noteState(session: Session, name: string, state: DatabaseState): Promise<void> {
  await session.query('update testdb.databases set state = $2, last_used = now() where name = $1', [name, state])
}

export async function forgetDatabase(session: Session, name: string): Promise<void> {
  await session.query('delete from testdb.databases where name = $1', [name])
}
