/** Heals one database for `testdb reset` and prints what was found and done. */
import { isTestDbError } from '../errors.ts'
import { healStaleLock, inspectLock } from '../migrators/heal.ts'
import type { TableName } from '../migrators/migrator.ts'
import type { Session } from '../postgres/index.ts'
import type { Terminal } from './terminal.ts'

export interface HealRequest {
  readonly table: TableName
  readonly force: boolean
  readonly timeoutMs: number
}

/** Returns the refusal, if it was one: other databases are still to be healed. */
export async function healDatabase(
  session: Session,
  { table, force, timeoutMs }: HealRequest,
  terminal: Terminal,
): Promise<readonly unknown[]> {
  const name = table.schema === undefined ? table.table : `${table.schema}.${table.table}`
  const say = (what: string): void => terminal.out(`${session.target.database}: ${what}`)
  const { exists, broken, found } = await inspectLock(session, table)
  if (!exists || !broken) {
    say(exists ? `${name} is fine (${found})` : `no table ${name}`)
    return []
  }
  try {
    const healed = await healStaleLock(session, table, { force, timeoutMs })
    say(healed ? `${name} had ${found}: healed` : `${name} had ${found} and is fine now`)
    return []
  } catch (error) {
    if (!isTestDbError(error) || error.code !== 'TESTDB_MIGRATION_LOCKED') throw error
    say(`${name} has ${found}: left alone`)
    return [error]
  }
}
