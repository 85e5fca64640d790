/** Finds and reads a knexfile the way the Knex CLI does. */
import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf, TestDbError } from '../errors.ts'
import type { KnexConfig } from './knex-types.ts'
import type { ModuleLoader } from './module-loader.ts'

export interface Knexfile {
  readonly path: string
  /** What relative folders in it are relative to: the CLI changes into it. */
  readonly folder: string
  readonly config: KnexConfig
  /** The key that `config` was found under; undefined when the file has one configuration for all. */
  readonly environment: string | undefined
}

/** The CLI's order, then the extensions it only takes with `--knexfile`. */
export const KNEXFILE_NAMES = ['js', 'mjs', 'ts', 'cjs', 'cts', 'mts'].map((extension) => `knexfile.${extension}`)

export function findKnexfile(root: string): string | undefined {
  return KNEXFILE_NAMES.map((name) => join(root, name)).find((path) => existsSync(path))
}

export interface EnvironmentChoice {
  /** Asked for by the user: must be there. */
  readonly required?: string | undefined
  /** Tried first when nothing is required. */
  readonly preferred: string
}

export async function readKnexfile(path: string, loader: ModuleLoader, choice: EnvironmentChoice): Promise<Knexfile> {
  const exported = await evaluate(path, loader)
  return { path, folder: dirname(resolve(path)), ...chooseEnvironment(basename(path), exported, choice) }
}

async function evaluate(path: string, loader: ModuleLoader): Promise<unknown> {
  try {
    const loaded = (await loader.load(path)) as { default?: unknown } | undefined
    const exported = loaded?.default ?? loaded
    return await (typeof exported === 'function' ? (exported as () => unknown)() : exported)
  } catch (error) {
    throw new TestDbError('TESTDB_CONFIG_LOAD_FAILED', `${path} could not be loaded: ${messageOf(error)}`, {
      details: { file: path },
      cause: error,
    })
  }
}

/** The keys that tell a configuration from an object of configurations. */
const CONFIG_KEYS = ['client', 'dialect', 'connection', 'migrations', 'seeds', 'searchPath', 'pool']

/** One environment of a knexfile, as somebody who looks at all of them finds it. */
export interface KnexEnvironment {
  /** The key in the knexfile; undefined where the file has one configuration for all. */
  readonly name: string | undefined
  readonly found: { readonly config: KnexConfig } | { readonly error: unknown } | 'function'
}

/** Every environment of the knexfile; keys that hold something else are left out. Throws `TESTDB_CONFIG_LOAD_FAILED`. */
export async function readEnvironments(path: string, loader: ModuleLoader): Promise<KnexEnvironment[]> {
  const exported = await evaluate(path, loader)
  if (!isObject(exported)) return []
  const named = Object.keys(exported)
    .filter((key) => !NO_ENVIRONMENTS.includes(key))
    .flatMap((name) => {
      const found = lookAt(exported, name)
      return found === undefined ? [] : [{ name, found }]
    })
  if (!isConfig(exported)) return named
  // One for all has functions of Knex's own beside it (`wrapIdentifier`).
  const inside = named.filter(({ found }) => typeof found === 'object' && 'config' in found)
  return [{ name: undefined, found: { config: exported as KnexConfig } }, ...inside]
}

const NO_ENVIRONMENTS = [...CONFIG_KEYS, 'default', '__esModule']

/** A getter may need what only production has. */
function lookAt(exported: Record<string, unknown>, name: string): KnexEnvironment['found'] | undefined {
  try {
    const value = exported[name]
    if (typeof value === 'function') return 'function'
    return isObject(value) && isConfig(value) ? { config: value as KnexConfig } : undefined
  } catch (error) {
    return { error }
  }
}

const isConfig = (value: object): boolean => CONFIG_KEYS.some((key) => key in value)

/**
 * Knex takes `NODE_ENV`, else the object itself. Before that we try `test` and `development`: a runner's NODE_ENV is a name
 * that many knexfiles do not have.
 */
export function chooseEnvironment(
  file: string,
  exported: unknown,
  choice: EnvironmentChoice,
): { config: KnexConfig; environment: string | undefined } {
  const all = isObject(exported) ? exported : {}
  const names = choice.required === undefined ? [choice.preferred, 'test', 'testing', 'development'] : [choice.required]
  for (const environment of names) {
    const config = all[environment]
    if (isObject(config)) return { config: config as KnexConfig, environment }
  }
  if (choice.required === undefined && isConfig(all)) return { config: all as KnexConfig, environment: undefined }
  const found = Object.keys(all).filter((key) => key !== 'default')
  throw new TestDbError(
    'TESTDB_CONFIG_INVALID',
    `${file} has no configuration for ${[...new Set(names)].map((name) => `'${name}'`).join(', ')}; it has ${found.length === 0 ? 'no keys' : found.join(', ')}`,
    {
      details: { file, environments: found },
      fixes: [
        `Add the key to ${file}, or name another one: \`migrator: knexMigrator({ environment: '${found[0] ?? 'development'}' })\`.`,
        'Run `npx testdb doctor` to load it again.',
      ],
    },
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
