/** Several databases of a project: a configuration for each. */
import { type NamedDatabaseConfig, PER_DATABASE, type ResolvedConfig, type TestDbConfig } from './config.ts'
import type { MergedConfig } from './merge.ts'

type Named = readonly [string, NamedDatabaseConfig]

/** What is wrong with `databases` as a whole. */
export function conflictsOfDatabases(config: MergedConfig, databases: TestDbConfig['databases']): string[] {
  if (databases === undefined) return []
  const names = Object.keys(databases)
  const problems: string[] = []
  if (names.length === 0) problems.push('expected at least one database, got none')
  for (const key of PER_DATABASE) {
    if (config.origins[key] !== 'default')
      problems.push(`say \`${key}\` in each database, it can not be beside \`databases\``)
  }
  if (config.isolation !== 'database') {
    problems.push(`expected isolation: 'database', because each worker has all of them, got '${config.isolation}'`)
  }
  if (config.server.kind === 'pg-mem') problems.push("a server of kind 'pg-mem' has one database")
  const owners = new Map<string, string>()
  for (const [index, [name, { env }]] of Object.entries(databases).entries()) {
    for (const variable of variablesOf(name, env, index === 0) || []) {
      const owner = owners.get(variable)
      if (owner === name) problems.push(`\`${name}\` has the variable ${variable} twice`)
      else if (owner !== undefined) problems.push(`\`${owner}\` and \`${name}\` both have the variable ${variable}`)
      owners.set(variable, name)
    }
  }
  return problems
}

/** `AUDIT_DATABASE_URL` for `audit`, `EVENT_LOG_DATABASE_URL` for `eventLog`. */
function variablesOf(name: string, env: NamedDatabaseConfig['env'], isFirst: boolean): readonly string[] | false {
  if (env !== undefined) return env
  const words = name.replace(/([a-z\d])([A-Z])/g, '$1_$2').toUpperCase()
  return [isFirst ? 'DATABASE_URL' : `${words}_DATABASE_URL`]
}

/** The configuration of the first database, with those of the others. */
export function eachDatabase(
  config: Omit<ResolvedConfig, 'databaseName' | 'others'>,
  databases: TestDbConfig['databases'],
): ResolvedConfig {
  const only: ResolvedConfig = { ...config, databaseName: 'main', others: [] }
  const [first, ...rest] = Object.entries(databases ?? {})
  if (first === undefined) return only
  const others = rest.map((one) => Object.freeze(oneOf(only, one, false)))
  return { ...oneOf(only, first, true), others: Object.freeze(others) }
}

function oneOf(config: ResolvedConfig, [name, own]: Named, isFirst: boolean): ResolvedConfig {
  return {
    ...config,
    databaseName: name,
    migrator: own.migrator,
    seed: own.seed,
    env: variablesOf(name, own.env, isFirst),
    extensions: own.extensions ?? [],
    hash: { include: own.hash?.include ?? [], env: own.hash?.env ?? [] },
  }
}
