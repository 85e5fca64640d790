/**
 * The one row that every template carries about the lease of its clones. It lives in the leased database, beside the lock,
 * so that a worker needs no second connection to give a database back. Unlogged on purpose: when a crash of the server
 * empties it (and the users' own unlogged tables with it), the database is not trusted but replaced.
 */
import { TestDbError } from '../../errors.ts'
import type { Session } from '../../postgres/index.ts'
import { CATALOG_FUNCTION } from './catalog.ts'

const LEASE_TABLE = `
create schema testdb;
create unlogged table testdb.lease (held bool not null, clean bool not null, run_id int);
insert into testdb.lease values (false, true, null);
`

/** Installs what every template carries. Throws `TESTDB_TEMPLATE_BUILD_FAILED` when a migration has taken the schema's name. */
export async function installLease(session: Session): Promise<void> {
  const { rowCount } = await session.query(`select from pg_namespace where nspname = 'testdb'`)
  if (rowCount !== 0) {
    const what = 'the migrations make a schema named "testdb", which testdb needs for itself'
    throw new TestDbError('TESTDB_TEMPLATE_BUILD_FAILED', what, {
      fixes: ['Give that schema another name.', 'Run `npx testdb doctor` to check again.'],
    })
  }
  await session.query(LEASE_TABLE)
  await session.query(CATALOG_FUNCTION)
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
