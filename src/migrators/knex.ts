/** The migrator for Knex 2 and 3, loaded from the user's project. */
import { basename } from 'node:path'
import { messageOf, TestDbError } from '../errors.ts'
import { filesBelow, hashOf, portableName } from './hash-files.ts'
import { foldersOf, listMigrations, listSeeds } from './knex-folders.ts'
import type { KnexMigratorOptions } from './knex-options.ts'
import { type KnexProject, openKnexProject } from './knex-project.ts'
import { emulateKnex, runKnex } from './knex-run.ts'
import { KNEX_TABLE, lockTableName } from './lock-table.ts'
import type { Migrator, MigratorDefinition, TableName } from './migrator.ts'
import { createModuleLoader } from './module-loader.ts'

export type { KnexMigratorOptions } from './knex-options.ts'

/**
 * Migrates with the project's own Knex, its knexfile and its seeds.
 *
 * Found automatically when there is a knexfile; write it down to choose an environment or folders. Options win over the
 * knexfile; its `connection` is never used. Relative folders of the knexfile are relative to it, but the working folder is not
 * changed: migrations that open files relative to it must use their own location.
 *
 * `load` throws `TESTDB_PEER_MISSING`, `TESTDB_CONFIG_LOAD_FAILED`, `TESTDB_CONFIG_INVALID` (no such environment, not Postgres)
 * and `TESTDB_MIGRATIONS_EMPTY`; `migrate` throws `TESTDB_MIGRATION_FAILED`, `TESTDB_SEED_FAILED` and `TESTDB_MIGRATION_LOCKED`.
 *
 * @example
 * import { defineConfig } from 'testdb'
 * import { knexMigrator } from 'testdb/migrators'
 *
 * export default defineConfig({ migrator: knexMigrator({ directory: 'db/migrations', seeds: 'db/seeds' }) })
 */
export function knexMigrator(options: KnexMigratorOptions = {}): MigratorDefinition {
  return {
    name: 'knex',
    configFile: options.knexfile,
    async load(project) {
      const opened = await openKnexProject(options, project)
      const names = await migrationNames(opened)
      const seeds = opened.seedFolders && opened.seeds ? await seedPaths(opened) : []
      return {
        name: 'knex',
        summary: summarize(opened, names.length, seeds.length),
        count: names.length,
        hash: () => hashProject(opened),
        migrate: (target) => runKnex(opened, target),
        emulate: (target) => emulateKnex(opened, target),
        ...tables(opened),
      }
    },
  }
}

async function migrationNames(project: KnexProject): Promise<string[]> {
  const folders = project.migrationFolders
  const source = project.migrationSource(createModuleLoader(project.root))
  const where = folders?.directories.map((path) => portableName(project.root, path) || '.').join(', ')
  const extensions = folders?.extensions.join(' ') ?? ''
  let found: unknown[]
  try {
    found = await source.getMigrations(project.migrations.loadExtensions ?? foldersOf({}, '', '.').extensions)
  } catch (error) {
    if (!folders) throw error
    throw new TestDbError(
      'TESTDB_MIGRATIONS_EMPTY',
      `Knex looks for migrations (${extensions}) in ${where} below ${project.root}, which can not be read: ${messageOf(error)}`,
      { details: { folders: folders.directories, extensions: folders.extensions }, cause: error },
    )
  }
  if (found.length > 0) return found.map((migration) => source.getMigrationName(migration))
  const what = folders
    ? `Knex found no migrations in ${where} below ${project.root}, where it looks for files with ${extensions}`
    : "the knexfile's migrationSource has no migrations"
  throw new TestDbError('TESTDB_MIGRATIONS_EMPTY', what, {
    details: { folders: folders?.directories ?? [], extensions: folders?.extensions ?? [] },
  })
}

async function seedPaths(project: KnexProject): Promise<string[]> {
  try {
    return await listSeeds(project.seedFolders!, project.seeds!)
  } catch (error) {
    throw new TestDbError('TESTDB_SEED_FAILED', `the seeds of Knex could not be listed: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function summarize(project: KnexProject, migrations: number, seeds: number): string {
  const parts = [`knex ${project.package.version}`]
  if (project.knexfile) {
    const { path, environment } = project.knexfile
    parts.push(environment === undefined ? basename(path) : `${basename(path)} (${environment})`)
  }
  const folders = project.migrationFolders?.directories.map((path) => portableName(project.root, path) || '.')
  const where = folders ? folders.join(', ') : 'its migrationSource'
  parts.push(`${migrations} ${migrations === 1 ? 'migration' : 'migrations'} in ${where}`)
  if (seeds > 0) parts.push(`${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`)
  return parts.join(', ')
}

/** Everything that can change the migrated database, but neither the connection nor where the checkout lies. */
async function hashProject(project: KnexProject): Promise<string> {
  const { root, config, migrationFolders, seedFolders } = project
  const folders = [...(migrationFolders?.directories ?? []), ...(seedFolders?.directories ?? [])]
  const files = (await Promise.all(folders.map(filesBelow))).flat()
  const relative = (paths: readonly string[] = []): string[] => paths.map((path) => portableName(root, path))
  const { directory: _d, migrationSource: _m, stub: _st, extension: _e, ...migrations } = project.migrations
  const { directory: _sd, seedSource: _ss, stub: _sst, extension: _se, ...seeds } = project.seeds ?? {}
  const { searchPath, wrapIdentifier, postProcessResponse, userParams, pool } = config
  const options = {
    tool: ['knex', project.package.version],
    migrations: { ...migrations, directories: relative(migrationFolders?.directories) },
    order: migrationFolders && (await listMigrations(migrationFolders)).map(({ path }) => portableName(root, path)),
    source: migrationFolders ? undefined : await describeSource(project),
    seeds: project.seeds && { ...seeds, directories: relative(seedFolders?.directories) },
    run: { searchPath, wrapIdentifier, postProcessResponse, userParams, afterCreate: pool?.afterCreate },
  }
  return hashOf(root, options, files)
}

/** A source has no files that we know of; its migrations count by their source text. */
async function describeSource(project: KnexProject): Promise<unknown> {
  const source = project.migrationSource(createModuleLoader(project.root))
  const all = await source.getMigrations(project.migrations.loadExtensions ?? foldersOf({}, '', '.').extensions)
  return Promise.all(
    all.map(async (migration) => {
      const { up, config } = ((await source.getMigration(migration)) ?? {}) as { up?: unknown; config?: unknown }
      return [source.getMigrationName(migration), up, config]
    }),
  )
}

/** Without a schema Knex's tables are in one of the search path's; which one is only known in the database. */
function tables(project: KnexProject): Pick<Migrator, 'bookkeeping' | 'lockTable'> {
  const { tableName = KNEX_TABLE, schemaName } = project.migrations
  const path = [project.config.searchPath ?? []].flat().filter((schema) => schema !== '$user')
  const schemas = schemaName ? [schemaName] : path.length > 0 ? path : [undefined]
  const lock = lockTableName(tableName)
  const bookkeeping = schemas.flatMap((schema): TableName[] => [
    { schema, table: tableName },
    { schema, table: lock },
  ])
  return { bookkeeping, lockTable: { schema: schemas.length === 1 ? schemas[0] : undefined, table: lock } }
}
