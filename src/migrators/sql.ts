/**
 * The migrator for a folder of `.sql` files. No tool, no options to speak of: for projects that keep plain SQL, and for those
 * whose tool's migrations are plain SQL.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { messageOf, TestDbError } from '../errors.ts'
import { hashOf, portableName } from './hash-files.ts'
import type { MigratorDefinition } from './migrator.ts'
import { emulateSqlFiles, runSqlFiles, type SqlFile } from './sql-run.ts'

export interface SqlMigratorOptions {
  /** Folder of the files, relative to the project; its subfolders are not read. @default 'migrations' */
  readonly directory?: string
  /** Table that remembers which files have run. @default 'testdb_migrations' */
  readonly tableName?: string
  /** Schema of that table; created when missing. With `isolation: 'schema'` it is the worker's. @default 'public' */
  readonly schemaName?: string
}

/**
 * Runs the `.sql` files of a folder in the order of their names.
 *
 * Names are compared character by character, as `ls` does in the C locale and most tools do: number them with leading zeros or
 * a timestamp (`2.sql` comes after `10.sql`). `.down.sql` files are left out, `.up.sql` files are not. Each file runs in a
 * transaction of its own; one whose first line is `-- testdb: no transaction` runs without, and must then be a single
 * statement (Postgres makes a transaction of several), for example `create index concurrently`. Each file starts with the
 * session's original settings. psql commands (`\i`, `\copy`) are not SQL and fail.
 *
 * `load` throws `TESTDB_MIGRATIONS_EMPTY`; `migrate` throws `TESTDB_MIGRATION_FAILED`, also when a file that has already run on
 * that database was changed.
 *
 * @example
 * import { defineConfig } from 'testdb'
 * import { sqlMigrator } from 'testdb/migrators'
 *
 * export default defineConfig({ migrator: sqlMigrator({ directory: 'db/migrations' }) })
 */
export function sqlMigrator(options: SqlMigratorOptions = {}): MigratorDefinition {
  const { directory = 'migrations', tableName = 'testdb_migrations', schemaName = 'public' } = options
  return {
    name: 'sql',
    async load({ root }) {
      const folder = resolve(root, directory)
      const names = await sqlFiles(folder)
      const where = portableName(root, folder) || '.'
      if (names.length === 0) {
        const what = `there are no .sql files in ${where} below ${root} (.down.sql files do not count)`
        throw new TestDbError('TESTDB_MIGRATIONS_EMPTY', what, { details: { folders: [folder], extensions: ['.sql'] } })
      }
      const table = { schema: schemaName, table: tableName }
      return {
        name: 'sql',
        summary: `sql, ${names.length} ${names.length === 1 ? 'file' : 'files'} in ${where}`,
        count: names.length,
        hash: async () => {
          const files = (await sqlFiles(folder)).map((name) => join(folder, name))
          return hashOf(folder, { tool: ['sql', 1], table }, files)
        },
        migrate: async (target) => {
          const own = { ...table, schema: target.schema ?? schemaName }
          return runSqlFiles(await readFiles(folder, root), own, target)
        },
        emulate: async (target) => emulateSqlFiles(await readFiles(folder, root), target),
        bookkeeping: [table],
      }
    },
  }
}

async function readFiles(folder: string, root: string): Promise<SqlFile[]> {
  return Promise.all(
    (await sqlFiles(folder)).map(async (name) => ({
      name,
      path: portableName(root, join(folder, name)),
      sql: await readFile(join(folder, name), 'utf8'),
    })),
  )
}

/** Names in the order they run. */
export async function sqlFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name)
    return names.filter((name) => name.endsWith('.sql') && !name.endsWith('.down.sql')).sort()
  } catch (error) {
    const what = `the folder ${folder} of .sql migrations can not be read: ${messageOf(error)}`
    throw new TestDbError('TESTDB_MIGRATIONS_EMPTY', what, {
      details: { folders: [folder], extensions: ['.sql'] },
      cause: error,
    })
  }
}
