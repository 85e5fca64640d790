/** The precedence of configuration sources, key by key. */

import { DEFAULT_GUARDS, type GuardLevel, type GuardLevels } from '../guards/levels.ts'
import { DEFAULT_LIMITS as limits } from '../pools/limits.ts'
import type { Isolation, ResetName, ResolvedConfig, ServerConfig, TestDbConfig } from './config.ts'
import type { EnvironmentValues } from './environment.ts'

export interface Layers {
  readonly option: TestDbConfig
  readonly environment: EnvironmentValues
  readonly file: TestDbConfig
  /** Whether this is a CI machine, where nobody comes back to an idle server. */
  readonly ci: boolean
}

export type MergedConfig = Omit<
  ResolvedConfig,
  'root' | 'file' | 'project' | 'environment' | 'databaseName' | 'others'
> & { readonly databases: TestDbConfig['databases'] | undefined }
/** Each is the best that goes with that isolation. */
const DEFAULT_RESET: Readonly<Record<Isolation, ResetName>> = { database: 'rows', schema: 'truncate', shared: 'none' }

type Origin = ResolvedConfig['origins'][string]

/**
 * The first source that has a value wins; arrays are never joined, because then nothing could be taken away.
 * The result is frozen to its last value, except for what is the user's own object: the migrator.
 */
export function merge(layers: Layers): MergedConfig {
  const origins: Record<string, Origin> = {}
  const fromEnvironment = asConfig(layers.environment)
  const sources = [
    ['option', layers.option],
    ['environment', fromEnvironment],
    ['file', layers.file],
  ] as const

  function pick<T>(path: string, read: (config: TestDbConfig) => T | undefined, fallback: T): T {
    for (const [origin, config] of sources) {
      const value = read(config)
      if (value === undefined) continue
      origins[path] = origin
      return value
    }
    origins[path] = 'default'
    return fallback
  }
  const list = (values: readonly string[]): readonly string[] => Object.freeze([...values])

  const server = mergeServer(layers, origins)
  const isolation = pick('isolation', (c) => c.isolation, 'database')
  const env = pick('env', (c) => c.env, ['DATABASE_URL'])
  return {
    server,
    migrator: pick('migrator', (c) => c.migrator, undefined),
    databases: pick('databases', (c) => c.databases, undefined),
    seed: pick('seed', (c) => c.seed, undefined),
    isolation,
    reset: pick('reset', (c) => c.reset, DEFAULT_RESET[isolation]),
    onDdl: pick('onDdl', (c) => c.onDdl, 'defer'),
    scope: pick('scope', (c) => c.scope, 'worker'),
    keepOnFailure: pick('keepOnFailure', (c) => c.keepOnFailure, false),
    pool: Object.freeze({
      max: pick('pool.max', (c) => c.pool?.max, 'auto' as number | 'auto'),
      acquireMs: pick('pool.acquireMs', (c) => c.pool?.acquireMs, limits.acquireMs),
      idleMs: pick('pool.idleMs', (c) => c.pool?.idleMs, limits.idleMs),
      lifetimeMs: pick('pool.lifetimeMs', (c) => c.pool?.lifetimeMs, limits.lifetimeMs),
      statementMs: pick('pool.statementMs', (c) => c.pool?.statementMs, limits.statementMs),
      idleInTransactionMs: pick(
        'pool.idleInTransactionMs',
        (c) => c.pool?.idleInTransactionMs,
        limits.idleInTransactionMs,
      ),
    }),
    env: env === false ? false : list(env),
    role: Object.freeze({ superuser: pick('role.superuser', (c) => c.role?.superuser, false) }),
    extensions: list(pick('extensions', (c) => c.extensions, [])),
    hash: Object.freeze({
      include: list(pick('hash.include', (c) => c.hash?.include, [])),
      env: list(pick('hash.env', (c) => c.hash?.env, [])),
    }),
    idle: pick('idle', (c) => c.idle, layers.ci ? 5_000 : 60_000),
    guards: mergeGuards(pick),
    report: Object.freeze({
      print: pick('report.print', (c) => c.report?.print, 'always' as const),
      keep: pick('report.keep', (c) => c.report?.keep, 10),
    }),
    logger: pick('logger', (c) => c.logger, undefined),
    onEvent: pick('onEvent', (c) => c.onEvent, undefined),
    origins: Object.freeze(origins),
  }
}

type Pick = <T>(path: string, read: (config: TestDbConfig) => T | undefined, fallback: T) => T

function mergeGuards(pick: Pick): GuardLevels {
  const names = Object.keys(DEFAULT_GUARDS) as (keyof typeof DEFAULT_GUARDS)[]
  const levels = names.map((name) => {
    const level = pick<GuardLevel>(`guards.${name}`, ({ guards }) => guards?.[name], DEFAULT_GUARDS[name])
    return [name, level] as const
  })
  const limit = pick('guards.manyQueries', ({ guards }) => guards?.manyQueries, undefined)
  return Object.freeze({
    ...(Object.fromEntries(levels) as Omit<GuardLevels, 'manyQueries'>),
    manyQueries: limit && limit !== 'off' ? Object.freeze({ max: limit.max, level: limit.level ?? 'warn' }) : undefined,
  })
}

function asConfig(values: EnvironmentValues): TestDbConfig {
  const { reset, scope, isolation, idle, poolMax } = values
  return {
    ...(reset === undefined ? {} : { reset }),
    ...(scope === undefined ? {} : { scope }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(idle === undefined ? {} : { idle }),
    ...(poolMax === undefined ? {} : { pool: { max: poolMax } }),
  }
}

/**
 * `server` is taken as a whole: `allow` was said of one URL and must not reach another by accident. A `url` server
 * without a URL of its own means TESTDB_URL, so there it does belong together.
 */
function mergeServer({ option, environment, file }: Layers, origins: Record<string, Origin>): ServerConfig {
  const configured = option.server ?? file.server
  const owner: Origin = option.server ? 'option' : file.server ? 'file' : 'default'
  const set = (server: ServerConfig, origin: Origin): Record<string, unknown> => {
    for (const [key, value] of Object.entries(server)) if (value !== undefined) origins[`server.${key}`] = origin
    return { ...server }
  }

  const open = configured?.kind === 'url' && configured.url === undefined
  const replaced = environment.url !== undefined && owner !== 'option' && !open
  let server: Record<string, unknown>
  if (replaced) server = set({ kind: 'url' }, 'environment')
  else server = set(configured ?? { kind: 'embedded' }, owner)
  if (environment.url !== undefined && (replaced || open)) {
    server.url = environment.url
    origins['server.url'] = 'environment'
  }
  const allowIsOption = owner === 'option' && server.allow !== undefined
  if (server.kind === 'url' && environment.allow !== undefined && !allowIsOption) {
    server.allow = environment.allow
    origins['server.allow'] = 'environment'
  }
  return Object.freeze(server) as unknown as ServerConfig
}
