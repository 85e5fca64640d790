/** What `knexMigrator` finds in a project: configuration, folders, Knex. Options of `testdb.config` win over the knexfile. */
import { existsSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { portableName } from './hash-files.ts'
import { type Folders, folderMigrations, folderSeeds, foldersOf } from './knex-folders.ts'
import type { KnexMigratorOptions } from './knex-options.ts'
import { findKnex, type KnexPackage } from './knex-package.ts'
import type {
  KnexConfig,
  KnexMigrationSource,
  KnexMigrationsOptions,
  KnexSeedSource,
  KnexSeedsOptions,
} from './knex-types.ts'
import { findKnexfile, type Knexfile, readKnexfile } from './knexfile.ts'
import type { MigratorProject } from './migrator.ts'
import { createModuleLoader, type ModuleLoader } from './module-loader.ts'

export interface KnexProject {
  readonly root: string
  readonly knexfile: Knexfile | undefined
  readonly config: KnexConfig
  readonly package: KnexPackage
  readonly migrations: KnexMigrationsOptions
  /** Undefined when the user brings a migration source. */
  readonly migrationFolders: Folders | undefined
  /** Undefined when there are none. */
  readonly seeds: KnexSeedsOptions | undefined
  readonly seedFolders: Folders | undefined
  /** A source that reads files anew, with the loader of one run. */
  migrationSource(loader: ModuleLoader): KnexMigrationSource
  seedSource(loader: ModuleLoader): KnexSeedSource | undefined
}

export async function openKnexProject(options: KnexMigratorOptions, project: MigratorProject): Promise<KnexProject> {
  const { root } = project
  const knexfile = await openKnexfile(options, project)
  const config = knexfile?.config ?? {}
  checkClient(config, knexfile)

  const given = config.migrations ?? {}
  const migrations: KnexMigrationsOptions = { ...given, ...overrides(options) }
  // Knex's rule: any option about files resets a source.
  const byFiles = migrations.directory ?? migrations.sortDirsSeparately ?? migrations.loadExtensions
  const userSource = byFiles === undefined ? migrations.migrationSource : undefined
  const migrationBase = options.directory === undefined ? (knexfile?.folder ?? root) : root
  const migrationFolders = userSource ? undefined : foldersOf(migrations, migrationBase, './migrations')

  const seeds = seedOptions(options, config)
  const seedByFiles = seeds?.directory ?? seeds?.sortDirsSeparately ?? seeds?.loadExtensions
  const userSeeds = seedByFiles === undefined ? seeds?.seedSource : undefined
  const seedBase = options.seeds === undefined ? (knexfile?.folder ?? root) : root
  const seedFolders = seeds && !userSeeds ? foldersOf(seeds, seedBase, './seeds') : undefined
  const hasSeeds =
    userSeeds !== undefined || (seedFolders !== undefined && seedFoldersExist(seedFolders, options, root))

  return {
    root,
    knexfile,
    config,
    package: findKnex(knexfile ? [knexfile.folder, root] : [root]),
    migrations,
    migrationFolders,
    seeds: hasSeeds ? seeds : undefined,
    seedFolders: hasSeeds ? seedFolders : undefined,
    migrationSource: (loader) => userSource ?? folderMigrations(migrationFolders as Folders, loader),
    seedSource: (loader) =>
      !hasSeeds || !seeds ? undefined : (userSeeds ?? folderSeeds(seedFolders as Folders, seeds, loader)),
  }
}

async function openKnexfile(options: KnexMigratorOptions, project: MigratorProject): Promise<Knexfile | undefined> {
  if (options.knexfile === false) return undefined
  const path = options.knexfile === undefined ? findKnexfile(project.root) : resolve(project.root, options.knexfile)
  if (path === undefined) return undefined
  if (!existsSync(path)) throw new TestDbError('TESTDB_CONFIG_INVALID', `migrator: the knexfile ${path} does not exist`)
  const choice = { required: options.environment, preferred: project.environment }
  return readKnexfile(path, createModuleLoader(project.root), choice)
}

function overrides(options: KnexMigratorOptions): KnexMigrationsOptions {
  const { directory, loadExtensions, sortDirsSeparately, tableName, schemaName } = options
  const all = { directory, loadExtensions, sortDirsSeparately, tableName, schemaName }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function seedOptions(options: KnexMigratorOptions, config: KnexConfig): KnexSeedsOptions | undefined {
  if (options.seeds === false) return undefined
  return options.seeds === undefined ? config.seeds : { ...config.seeds, directory: options.seeds }
}

/** `knex init` writes seed folders that nobody has made; naming one in testdb's own option is a promise. */
function seedFoldersExist(folders: Folders, options: KnexMigratorOptions, root: string): boolean {
  const missing = folders.directories.filter((path) => !statSync(path, { throwIfNoEntry: false })?.isDirectory())
  if (missing.length === 0) return true
  const names = missing.map((path) => portableName(root, path)).join(', ')
  if (options.seeds !== undefined)
    throw new TestDbError('TESTDB_SEED_FAILED', `the seed folder ${names} does not exist below ${root}`)
  publish('warning.raised', {
    message: `the knexfile names the seed folder ${names}, which does not exist; no seeds are run`,
  })
  return false
}

const POSTGRES_CLIENTS: readonly unknown[] = ['pg', 'postgres', 'postgresql', undefined]

/** A class of the user's own is fine when it extends Knex's Postgres client. */
export function usesPostgres(config: KnexConfig): boolean {
  const client = config.client ?? config.dialect
  if (POSTGRES_CLIENTS.includes(client)) return true
  return typeof client === 'function' && (client.prototype as { driverName?: unknown })?.driverName === 'pg'
}

function checkClient(config: KnexConfig, knexfile: Knexfile | undefined): void {
  if (usesPostgres(config)) return
  const client = config.client ?? config.dialect
  const file = knexfile ? basename(knexfile.path) : 'knex'
  const key = knexfile?.environment === undefined ? 'client' : `${knexfile.environment}.client`
  const came = typeof client === 'string' ? `'${client}'` : typeof client
  throw new TestDbError(
    'TESTDB_CONFIG_INVALID',
    `${file}: ${key} is ${came}, expected 'pg', 'postgres' or 'postgresql'`,
    {
      details: { file, key },
      fixes: [
        "Name an environment that uses Postgres: `migrator: knexMigrator({ environment: '…' })`.",
        'Run `npx testdb doctor` to load it again.',
      ],
    },
  )
}
