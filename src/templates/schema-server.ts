/** What a server must be able to do for a schema for each worker, and what its database has once for all of them. */
import { TestDbError } from '../errors.ts'
import {
  COMMON_SCHEMA,
  type ConnectionTarget,
  describeTarget,
  ident,
  inSchema,
  isSqlState,
  LOCK_SPACE,
  type Session,
  withSession,
} from '../postgres/index.ts'
import { assertExtensions } from './build.ts'

/** A schema that nobody has, to see whether a session learns of it. */
const PROBE = 'testdb_probe'

/**
 * Poolers refuse start-up settings, or leave them out; then all workers would share `public`.
 * Throws `TESTDB_SERVER_UNSUPPORTED`.
 */
export async function assertSchemasPossible(target: ConnectionTarget): Promise<void> {
  const path = await pathOf(target)
  if (path.startsWith(PROBE)) return
  throw refused(target, `it leaves them out: the search path is ${path}`)
}

async function pathOf(target: ConnectionTarget): Promise<string> {
  try {
    return await withSession(inSchema(target, PROBE), { applicationName: 'testdb connect' }, async (session) => {
      const { rows } = await session.query<{ path: string }>(`select current_setting('search_path') as path`)
      return rows[0]?.path ?? ''
    })
  } catch (error) {
    // 08P01 is what PgBouncer answers.
    if (isSqlState(error, 'protocolViolation')) throw refused(target, (error as Error).message)
    throw error
  }
}

function refused(target: ConnectionTarget, why: string): TestDbError {
  const what = `${describeTarget(target)} does not take settings in the address (options=-c search_path=…), by which a worker is led to its schema: ${why}`
  return new TestDbError('TESTDB_SERVER_UNSUPPORTED', what, {
    fixes: [
      'Use an address that leads to Postgres itself and not to a pooler (PgBouncer).',
      "Or use isolation: 'database', which needs no such settings, with a role that has CREATEDB.",
      'Run `npx testdb doctor` to see which server is used.',
    ],
  })
}

/** Creates the configured extensions in `public`, once for the database. Several runs may come at the same time. */
export async function ensureSchemaExtensions(session: Session, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await assertExtensions(session, names)
  await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, $2)', [LOCK_SPACE.setup, EXTENSIONS])
    await session.query(`set local search_path = ${COMMON_SCHEMA}`)
    for (const name of names) await session.query(`create extension if not exists ${ident(name)} cascade`)
  })
}

/** Second key of `LOCK_SPACE.setup`. */
const EXTENSIONS = 4
