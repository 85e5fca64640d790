/** Finds the project's migration tool when the configuration names none. Looks, never guesses between two. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { TestDbError } from '../errors.ts'
import { knexMigrator } from './knex.ts'
import { foldersOf } from './knex-folders.ts'
import { hasKnex } from './knex-package.ts'
import { findKnexfile, readKnexfile } from './knexfile.ts'
import type { MigratorDefinition } from './migrator.ts'
import { createModuleLoader } from './module-loader.ts'
import { sqlMigrator } from './sql.ts'

export interface DetectedMigrator {
  readonly definition: MigratorDefinition
  /** Why, for people: `knexfile.ts found`. */
  readonly reason: string
  /** The line that makes the choice explicit in testdb.config. */
  readonly configLine: string
}

/** Where migrations usually lie, relative to the project. */
const FOLDERS = ['migrations', 'db/migrations', 'database/migrations']
const SCRIPTS = ['.js', '.cjs', '.ts']

/** Every tool that the project seems to use. */
export async function detectMigrators(root: string, environment = defaultEnvironment()): Promise<DetectedMigrator[]> {
  const found: DetectedMigrator[] = []
  const knexfile = findKnexfile(root)
  const ownedByKnex = knexfile ? await foldersOfKnexfile(knexfile, root, environment) : []
  if (knexfile) {
    const name = basename(knexfile)
    const configLine = `migrator: knexMigrator({ knexfile: '${name}' })`
    found.push({ definition: knexMigrator({ knexfile: name }), reason: `${name} found`, configLine })
  }
  for (const directory of FOLDERS) {
    const path = join(root, directory)
    // A knexfile that can not be read speaks for itself when it is loaded; until then every folder could be its own.
    if (ownedByKnex === 'unknown' || ownedByKnex.includes(path)) continue
    const kind = kindOf(path)
    if (kind === 'sql') found.push(sqlFolder(directory))
    if (kind === 'scripts' && !knexfile && usesKnex(root)) found.push(knexFolder(directory))
  }
  return found
}

/** The one migrator of the project. Throws `TESTDB_MIGRATOR_MISSING` or `TESTDB_MIGRATOR_AMBIGUOUS`. */
export async function chooseMigrator(root: string, environment = defaultEnvironment()): Promise<DetectedMigrator> {
  const found = await detectMigrators(root, environment)
  const [first] = found
  if (!first) {
    const note = FOLDERS.some((folder) => kindOf(join(root, folder)) === 'scripts')
      ? '; there is a folder of scripts, but knex is not installed'
      : ''
    const what = `${root} has neither a knexfile.{js,mjs,ts,cjs,cts,mts} nor migrations in ${FOLDERS.map((folder) => `${folder}/`).join(', ')} (.sql files, or .js, .cjs and .ts files with knex installed)${note}`
    throw new TestDbError('TESTDB_MIGRATOR_MISSING', what, { details: { root, folders: FOLDERS } })
  }
  if (found.length === 1) return first
  const list = found.map(({ reason, configLine }) => `  ${reason}: \`${configLine}\``).join('\n')
  throw new TestDbError('TESTDB_MIGRATOR_AMBIGUOUS', `${root} has ${found.length} migrators:\n${list}`, {
    details: { root, found: found.map(({ reason, configLine }) => ({ reason, configLine })) },
    fixes: ['Put one of these lines into testdb.config.ts.', 'Run `npx testdb doctor` to see what was found.'],
  })
}

const defaultEnvironment = (): string => process.env.NODE_ENV || 'test'

async function foldersOfKnexfile(path: string, root: string, environment: string): Promise<string[] | 'unknown'> {
  try {
    const { config, folder } = await readKnexfile(path, createModuleLoader(root), { preferred: environment })
    const seeds = config.seeds ? foldersOf(config.seeds, folder, './seeds').directories : []
    return [...foldersOf(config.migrations ?? {}, folder, './migrations').directories, ...seeds]
  } catch {
    return 'unknown'
  }
}

function sqlFolder(directory: string): DetectedMigrator {
  return {
    definition: sqlMigrator({ directory }),
    reason: `${directory}/ with .sql files found`,
    configLine: `migrator: sqlMigrator({ directory: '${directory}' })`,
  }
}

function knexFolder(directory: string): DetectedMigrator {
  return {
    definition: knexMigrator({ directory }),
    reason: `${directory}/ with scripts and the package knex found`,
    configLine: `migrator: knexMigrator({ directory: '${directory}' })`,
  }
}

/** Scripts decide: they often read `.sql` files that lie beside them. */
function kindOf(folder: string): 'sql' | 'scripts' | undefined {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return undefined
  }
  if (names.some((name) => SCRIPTS.includes(extname(name)) && !/\.d\.ts$/.test(name))) return 'scripts'
  return names.some((name) => name.endsWith('.sql') && !name.endsWith('.down.sql')) ? 'sql' : undefined
}

/** Installed, or meant to be: then loading says how to install it. */
function usesKnex(root: string): boolean {
  if (hasKnex(root)) return true
  try {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, object | undefined>
    return ['dependencies', 'devDependencies'].some((key) => 'knex' in (manifest[key] ?? {}))
  } catch {
    return false
  }
}
