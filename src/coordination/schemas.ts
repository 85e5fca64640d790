/**
 * Queries on the registry's schemas, which stand for databases with `isolation: 'schema'`.
 *
 *   wanted ──► making ──► ready ◄──► held ──► wanted (a test has changed more than a reset undoes)
 *                └──► failed           └──► dropping ──► gone
 *
 * Whoever changes a schema, or its row beyond a claim, holds its advisory lock (`LOCK_SPACE.schema`), which ends with its session. So a
 * row that says making or held while the lock is free tells of a process that has died. A run's rows carry its id: its
 * workers take only these, and its own process makes them.
 */
import { companionOf, databaseName, LOCK_SPACE, type Session, schemaExists, slug, tryLock } from '../postgres/index.ts'
import { isRunAlive, isSchemaHeld } from './liveness.ts'
import type { StoredError } from './templates.ts'

export type SchemaState = 'wanted' | 'making' | 'failed' | 'ready' | 'held' | 'dropping'

export interface SchemaRow {
  readonly id: number
  readonly name: string
  readonly state: SchemaState
  readonly clean: boolean
  readonly request: number | null
  readonly error: StoredError | null
}

/** True while somebody else's session waits for just this one. */
const IS_RESERVED = `(s.request is not null and s.request <> pg_backend_pid() and exists (select from pg_stat_activity a where a.pid = s.request))`

const COLUMNS = 'id, name, state, clean, request, error'

export interface SchemaOwner {
  readonly project: string
  readonly hash: string
  readonly runId: number
}

/** Who takes rows from dead runs, to use or to drop them, does so one after the other; second key of `LOCK_SPACE.setup`. */
const CLAIM = 3

/**
 * Sets schemas that runs of before have left aside for this run, `amount` at most; those that are no good any more are to be made
 * anew. Call it while nothing else goes on in the session.
 */
export async function claimSchemas(session: Session, owner: SchemaOwner, amount: number): Promise<SchemaRow[]> {
  return await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, $2)', [LOCK_SPACE.setup, CLAIM])
    const { rows } = await session.query<SchemaRow>(
      `update testdb.schemas set run_id = $3, request = null, error = null, last_used = now(),
              state = case when state in ('ready', 'held') and clean then state else 'wanted' end
        where id in (
          select id from testdb.schemas s
           where project = $1 and hash = $2 and state <> 'dropping' and not ${isSchemaHeld('s.id')}
             and (run_id is null or run_id = $3 or not ${isRunAlive('s.run_id')})
           order by state = 'ready' and clean desc, state = 'held' desc, last_used desc limit $4)
       returning ${COLUMNS}`,
      [owner.project, owner.hash, owner.runId, amount],
    )
    return rows
  })
}

/** Registers a schema before it is created. Nobody else takes it as long as this session waits for it. */
export async function registerSchema(session: Session, owner: SchemaOwner): Promise<SchemaRow> {
  const { rows } = await session.query<{ id: number }>(
    `select nextval(pg_get_serial_sequence('testdb.schemas', 'id'))::int as id`,
  )
  const id = rows[0]?.id ?? 0
  const name = databaseName(slug(owner.project), id)
  // Whatever is recorded is ours to drop, so the name of a schema that is there already is never recorded.
  if ((await schemaExists(session, name)) || (await schemaExists(session, companionOf(name)))) {
    return registerSchema(session, owner)
  }
  const inserted = await session.query<SchemaRow>(
    `insert into testdb.schemas (id, name, project, hash, state, run_id, request) overriding system value
     values ($1, $2, $3, $4, 'wanted', $5, $6) returning ${COLUMNS}`,
    [id, name, owner.project, owner.hash, owner.runId, session.backendPid],
  )
  return inserted.rows[0] as SchemaRow
}

/** What a run's process has to make. */
export async function wantedSchemas(session: Session, { hash, runId }: SchemaOwner): Promise<SchemaRow[]> {
  const { rows } = await session.query<SchemaRow>(
    `select ${COLUMNS} from testdb.schemas s
      where run_id = $1 and hash = $2 and state = 'wanted' and not ${isSchemaHeld('s.id')} order by request is null, id`,
    [runId, hash],
  )
  return rows
}

export interface SchemaUse {
  /** The worker's number in its run. */
  readonly slot: string
  /** False when what its tests write stays, so that no other run may take it as it is. */
  readonly leavesClean: boolean
}

/** Takes a schema of the run that nobody has, with its lock; `state` is what it was. Needs the session for itself. */
export async function takeSchema(
  session: Session,
  want: { readonly hash: string; readonly runId: number } & SchemaUse,
): Promise<SchemaRow | undefined> {
  return await session.transaction(async () => {
    const { rows } = await session.query<SchemaRow>(
      `select ${COLUMNS} from testdb.schemas s
        where run_id = $1 and hash = $2 and state in ('ready', 'held') and not ${IS_RESERVED} and not ${isSchemaHeld('s.id')}
        order by slot = $3 desc nulls last, state = 'ready' desc, id for update skip locked limit 1`,
      [want.runId, want.hash, want.slot],
    )
    const row = rows[0]
    if (!row || !(await tryLock(session, 'schema', row.id))) return undefined
    await noteHeld(session, row.id, want)
    return row
  })
}

/** Takes the one that was made for this request; undefined while its maker still has the lock. */
export async function takeRequested(session: Session, row: SchemaRow, use: SchemaUse): Promise<SchemaRow | undefined> {
  if (!(await tryLock(session, 'schema', row.id))) return undefined
  await noteHeld(session, row.id, use)
  return row
}

/** Notes that the holder of its lock uses it. */
export async function noteHeld(session: Session, id: number, { slot, leavesClean }: SchemaUse): Promise<void> {
  await session.query(
    `update testdb.schemas set state = 'held', slot = $2, clean = $3, request = null, last_used = now() where id = $1`,
    [id, slot, leavesClean],
  )
}

export async function readSchema(session: Session, id: number): Promise<SchemaRow | undefined> {
  const { rows } = await session.query<SchemaRow>(`select ${COLUMNS} from testdb.schemas where id = $1`, [id])
  return rows[0]
}

/** What a worker that waits wants to know. */
export async function readPool(
  session: Session,
  { runId, hash }: { readonly runId: number; readonly hash: string },
): Promise<{ readonly alive: boolean; readonly coming: number }> {
  const { rows } = await session.query<{ alive: boolean; coming: number }>(
    `select ${isRunAlive('$1::int')} as alive,
            count(*) filter (where state in ('wanted', 'making') and not ${IS_RESERVED})::int as coming
       from testdb.schemas s where run_id = $1::int and hash = $2`,
    [runId, hash],
  )
  return rows[0] ?? { alive: false, coming: 0 }
}

export async function noteSchema(
  session: Session,
  id: number,
  note: {
    readonly state: SchemaState
    readonly clean?: boolean
    readonly request?: number | null
    readonly error?: StoredError
  },
): Promise<void> {
  await session.query(
    `update testdb.schemas set state = $2, clean = $3, last_used = now(), error = $4,
            request = case when $5 then $6::int else request end where id = $1`,
    [
      id,
      note.state,
      note.clean ?? true,
      note.error ? JSON.stringify(note.error) : null,
      note.request !== undefined,
      note.request ?? null,
    ],
  )
}

export async function forgetSchema(session: Session, id: number): Promise<void> {
  await session.query('delete from testdb.schemas where id = $1', [id])
}

/** The run goes on with another hash: what is left of the last one is anybody's. */
export async function leaveSchemas(session: Session, { runId, hash }: SchemaOwner): Promise<void> {
  await session.query(
    `update testdb.schemas s set run_id = null where run_id = $1 and hash <> $2 and not ${isSchemaHeld('s.id')}`,
    [runId, hash],
  )
}

export interface SchemaRetention {
  readonly project: string | undefined
  /** Hashes of one project that are kept although no run uses them. */
  readonly perProject: number
  readonly days: number
}

const USELESS = `not ${isSchemaHeld('s.id')}
  and (s.state = 'dropping' or not exists (select from testdb.schemas o where o.project = s.project and o.hash = s.hash
         and (${isRunAlive('o.run_id')} or ${isSchemaHeld('o.id')})))
  and (s.state = 'dropping' or s.state = 'failed' or s.last_used < now() - make_interval(days => $3)
    or (select count(distinct hash) from testdb.schemas n where n.project = s.project and n.hash <> s.hash
          and n.last_used > (select max(last_used) from testdb.schemas m where m.project = s.project and m.hash = s.hash)) >= $2)
  and ($1::text is null or s.project = $1)`

/** The schemas that a sweep would drop. */
export async function uselessSchemas(session: Session, retention: SchemaRetention): Promise<SchemaRow[]> {
  const { project, perProject, days } = retention
  const { rows } = await session.query<SchemaRow>(
    `select ${COLUMNS} from testdb.schemas s where ${USELESS} order by id`,
    [project ?? null, perProject, days],
  )
  return rows
}

/** Takes one of them out of use with its lock; false when somebody was faster. Needs a session of its own. */
export async function claimUseless(session: Session, id: number, retention: SchemaRetention): Promise<boolean> {
  const { project, perProject, days } = retention
  return await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, $2)', [LOCK_SPACE.setup, CLAIM])
    const { rowCount } = await session.query(
      `update testdb.schemas s set state = 'dropping' where id = $4 and ${USELESS}`,
      [project ?? null, perProject, days, id],
    )
    return rowCount === 1 && (await tryLock(session, 'schema', id))
  })
}
