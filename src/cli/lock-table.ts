/** Which table `testdb reset` and `testdb doctor` look at. */
import type { ResolvedConfig } from '../config/config.ts'
import { isTestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { detectMigrators } from '../migrators/detect.ts'
import { lockTableName } from '../migrators/lock-table.ts'
import type { MigratorDefinition, TableName } from '../migrators/migrator.ts'

export interface TableOptions {
  /** Knex's migrations table, as in its configuration; the lock's name follows from it. */
  readonly table?: string | undefined
  readonly schema?: string | undefined
}

/** The command line's table, else the one of the project's Knex, else Knex's default. */
export async function findLockTable(options: TableOptions, load: () => Promise<ResolvedConfig>): Promise<TableName> {
  const { table, schema } = options
  if (table !== undefined) return { schema, table: lockTableName(table) }
  const known = (await projectLockTable(load)) ?? { table: lockTableName() }
  return schema === undefined ? known : { ...known, schema }
}

/**
 * A project whose migrations can not be loaded is exactly one that needs healing sometimes, so that is only a warning; what
 * is not an error of testdb's own is a bug and stays one.
 */
async function projectLockTable(load: () => Promise<ResolvedConfig>): Promise<TableName | undefined> {
  try {
    const config = await load()
    const definition = await knexOf(config)
    const migrator = await definition?.load({ root: config.root, environment: config.environment })
    return migrator?.lockTable
  } catch (error) {
    if (!isTestDbError(error)) throw error
    const message = `the project's migrations could not be read, so ${lockTableName()} is looked for (${error.what})`
    publish('warning.raised', { message })
    return undefined
  }
}

async function knexOf({ root, environment, migrator }: ResolvedConfig): Promise<MigratorDefinition | undefined> {
  if (migrator) return migrator
  const found = await detectMigrators(root, environment)
  return found.map(({ definition }) => definition).find(({ name }) => name === 'knex')
}
