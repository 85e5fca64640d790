/** A database that an earlier run has left has that run's limit; whoever takes it gives it its own. */
import { ident, type Session } from '../postgres/index.ts'
import { rememberSettings } from './reset/catalog.ts'

/**
 * Sets `CONNECTION LIMIT` of the database that the session holds. The limit belongs to what is compared when the database is given
 * back, so it is remembered, unless something else has been changed by then. If the process dies in between, the database differs
 * from what is remembered, and is replaced after its next use.
 */
export async function limitConnections(session: Session, limit: number): Promise<void> {
  const { rows } = await session.query<{ limit: number; unchanged: boolean }>(
    `select datconnlimit as limit, (select settings from testdb.catalog) = testdb.read_settings() as unchanged
       from pg_database where datname = current_database()`,
  )
  if (rows[0]?.limit === limit) return
  await session.query(`alter database ${ident(session.target.database)} connection limit ${limit}`)
  if (rows[0]?.unchanged) await rememberSettings(session)
}
