/**
 * The one row that every template carries about the lease of its clones. It lives in the leased database, beside the lock,
 * so that a worker needs no second connection to give a database back. Unlogged on purpose: when a crash of the server
 * empties it (and the users' own unlogged tables with it), the database is not trusted but replaced.
 */
import { TestDbError } from '../../errors.ts'
import { LOCK_SPACE, type Session } from '../../postgres/index.ts'
import { CATALOG_FUNCTION, IS_UNCHANGED } from './catalog.ts'

/** What every template carries. */
export const LEASE = `
create schema testdb;
create unlogged table testdb.lease (held bool not null, clean bool not null, run_id int);
insert into testdb.lease values (false, true, null);
${CATALOG_FUNCTION}`

/** Throws `TESTDB_TEMPLATE_BUILD_FAILED` when a migration has taken the schema's name. */
export async function installLease(session: Session): Promise<void> {
  const { rowCount } = await session.query(`select from pg_namespace where nspname = 'testdb'`)
  if (rowCount !== 0) {
    const what = 'the migrations make a schema named "testdb", which testdb needs for itself'
    throw new TestDbError('TESTDB_TEMPLATE_BUILD_FAILED', what, {
      fixes: ['Give that schema another name.', 'Run `npx testdb doctor` to check again.'],
    })
  }
  await session.query(LEASE)
}

export interface LeaseRow {
  /** True from the moment a worker takes the database until it gives it back: with a free lock, the worker has died. */
  readonly held: boolean
  /** True when the content equals the template. */
  readonly clean: boolean
  readonly runId: number | null
}

/** Reads the row; undefined when the server crashed, or when somebody removed it. */
export async function readLease(session: Session): Promise<LeaseRow | undefined> {
  const { rows } = await session.query<{ held: boolean; clean: boolean; run_id: number | null }>(
    'select * from testdb.lease',
  )
  const row = rows[0]
  return row && { held: row.held, clean: row.clean, runId: row.run_id }
}

/** Writes the row; a clone of a template that went through a crash has none yet. */
export async function writeLease(session: Session, row: LeaseRow): Promise<void> {
  await session.query(
    `with changed as (update testdb.lease set held = $1, clean = $2, run_id = $3 returning 1)
     insert into testdb.lease select $1, $2, $3 where not exists (select from changed)`,
    [row.held, row.clean, row.runId],
  )
}

/** Writes that nobody holds the database any more, clean if its catalog is the clone's; tells whether it is. */
export async function settleLease(session: Session, runId: number): Promise<boolean> {
  try {
    const { rows } = await session.query<{ clean: boolean }>(
      `update testdb.lease set held = false, run_id = $1, clean = ${IS_UNCHANGED} returning clean`,
      [runId],
    )
    if (rows.length === 1) return rows[0]?.clean === true
  } catch (error) {
    if (session.lost.aborted) throw error
    // A test has dropped or changed what is ours.
  }
  await writeLease(session, { held: false, clean: false, runId })
  return false
}

/** Tries the lease lock and then reads the row, in one round trip; also counts the sessions that still work on the database. */
export async function tryLeaseAndRead(
  session: Session,
): Promise<{ readonly locked: boolean; readonly row: LeaseRow | undefined; readonly busy: number }> {
  const [lock, lease, busy] = await session.batch(
    `select pg_try_advisory_lock(${LOCK_SPACE.lease}, 1) as locked;
     select held, clean, run_id as "runId" from testdb.lease;
     select count(*)::int as busy from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
        and state is distinct from 'idle'`,
  )
  return {
    locked: lock?.rows[0]?.locked === true,
    row: lease?.rows[0] as unknown as LeaseRow | undefined,
    busy: (busy?.rows[0]?.busy as number | undefined) ?? 0,
  }
}
