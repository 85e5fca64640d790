/**
 * Heals the clones that the registry knows. A worker's database is in use and left alone; templates accept no connections and
 * were sealed after their migrations had ended.
 */
import { tryLease } from '../coordination/index.ts'
import { isTestDbError } from '../errors.ts'
import { isSqlState, LOCK_SPACE, Session } from '../postgres/index.ts'
import { type HealRequest, healDatabase } from './heal-database.ts'
import type { Terminal } from './terminal.ts'

export async function healOurDatabases(
  maintenance: Session,
  request: HealRequest,
  terminal: Terminal,
): Promise<{ readonly refused: readonly unknown[]; readonly count: number }> {
  const { rows } = await maintenance.query<{ name: string }>(
    `select name from testdb.databases where state = 'ready' order by id`,
  )
  const refused: unknown[] = []
  for (const { name } of rows) refused.push(...(await healClone(maintenance, name, request, terminal)))
  return { refused, count: rows.length }
}

async function healClone(
  maintenance: Session,
  name: string,
  request: HealRequest,
  terminal: Terminal,
): Promise<readonly unknown[]> {
  let session: Session | undefined
  let leased = false
  try {
    session = await Session.open({ ...maintenance.target, database: name }, { applicationName: 'testdb coordination' })
    // With the lease nobody takes the database while it is being healed.
    leased = await tryLease(session)
    if (leased) return await healDatabase(session, request, terminal)
    terminal.out(`${name}: in use${await holderOf(session)}, left alone`)
    return []
  } catch (error) {
    if (leased) throw error
    // Dropped since it was listed, or just being dropped.
    if (isSqlState(error, 'invalidCatalogName', 'objectNotInPrerequisiteState')) return []
    if (!wasEnded(error)) throw error
    terminal.out(`${name}: in use, left alone`)
    return []
  } finally {
    await session?.close()
  }
}

/** Who takes a database ends the sessions that are busy on it, and ours was just asking for the lease. */
const wasEnded = (error: unknown): boolean =>
  isSqlState(error, 'adminShutdown') || (isTestDbError(error) && error.code === 'TESTDB_SERVER_LOST')

async function holderOf(session: Session): Promise<string> {
  const { rows } = await session.query<{ pid: number; name: string }>(
    `select a.pid, a.application_name as name from pg_locks l join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.classid = $1 and l.objid = 1 and l.objsubid = 2 and l.granted
        and a.datname = current_database()`,
    [LOCK_SPACE.lease],
  )
  const [holder] = rows
  return holder ? ` by session ${holder.pid} (${holder.name})` : ''
}
