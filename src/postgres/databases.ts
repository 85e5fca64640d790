/** CREATE, DROP, RENAME and facts about databases. None of these statements can run inside a transaction but RENAME and ALTER. */
import { endSessions } from './activity.ts'
import { ident } from './identifiers.ts'
import type { Session } from './session.ts'
import { isSqlState } from './sqlstate.ts'

export interface CreateDatabaseOptions {
  readonly template: string
  readonly owner: string
  /** Further options of CREATE DATABASE, already quoted. */
  readonly extra?: string
}

/** Since 15 the copy strategy can be chosen; copying files is two to ten times as fast as logging every page. */
export function cloneStrategy(serverMajor: number): string {
  return serverMajor >= 15 ? 'strategy file_copy' : ''
}

export async function createDatabase(session: Session, name: string, options: CreateDatabaseOptions): Promise<void> {
  const { owner, template, extra = '' } = options
  const { rows } = await session.query<{ major: number }>(
    `select current_setting('server_version_num')::int / 10000 as major`,
  )
  const strategy = cloneStrategy(rows[0]?.major ?? 0)
  await session.query(
    `create database ${ident(name)} owner ${ident(owner)} template ${ident(template)} ${strategy} ${extra}`,
  )
}

export async function databaseExists(session: Session, name: string): Promise<boolean> {
  const { rowCount } = await session.query('select from pg_database where datname = $1', [name])
  return rowCount === 1
}

/**
 * Ends the sessions of a database and drops it, if it is there.
 * Connections are forbidden first: a pool that reconnects at once would otherwise keep the database in use for ever.
 */
export async function removeDatabase(session: Session, name: string): Promise<void> {
  const { rows } = await session.query<{ interrupted: boolean }>(
    'select datconnlimit = -2 as interrupted from pg_database where datname = $1',
    [name],
  )
  // What an interrupted DROP leaves behind lets nobody in, and ALTER would end our session.
  if (rows[0]?.interrupted === false) {
    try {
      await session.query(`alter database ${ident(name)} with allow_connections false is_template false`)
    } catch (error) {
      if (!isSqlState(error, 'invalidCatalogName')) throw error
    }
  }
  await endSessions(session, name)
  await dropDatabase(session, name)
}

/**
 * Drops a database if it is there; a sealed one is unsealed first.
 * Throws 55006 when somebody is connected: end the sessions first (`endSessions`).
 */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  try {
    await session.query(`drop database if exists ${ident(name)}`)
  } catch (error) {
    if (!isSqlState(error, 'wrongObjectType')) throw error
    await session.query(`alter database ${ident(name)} is_template false`)
    await session.query(`drop database if exists ${ident(name)}`)
  }
}
