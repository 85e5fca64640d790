/** Makes one complete configuration of call options, environment, file and defaults, and remembers where each value came from. */
import { basename } from 'node:path'
import { TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import type { ResolvedConfig, TestDbConfig } from './config.ts'
import { conflictsOfDatabases, eachDatabase } from './databases.ts'
import { type Environment, readEnvironment, variableName } from './environment.ts'
import { loadConfig } from './load.ts'
import { type Layers, type MergedConfig, merge } from './merge.ts'
import { findProblems, formatProblem, type Problem } from './validate.ts'

export interface ResolveOptions {
  /** Where to look for the project. @default process.cwd() */
  readonly cwd?: string
  /** A configuration file to use instead of the project's own; relative to `cwd`. */
  readonly configFile?: string
  /** Values that win over everything else. */
  readonly options?: TestDbConfig
  /** @default process.env */
  readonly env?: Environment
}

/**
 * Precedence: call options > environment > file > defaults, for each key by itself; `server` is taken as a whole.
 * Every problem is in the one error that this throws; wrong values in the environment are only reported.
 */
export async function resolveConfig(request: ResolveOptions = {}): Promise<ResolvedConfig> {
  const env = request.env ?? process.env
  const loaded = await loadConfig(request.cwd ?? process.cwd(), request.configFile)
  const option = check(request.options, 'call options')
  const file = check(loaded.config, loaded.file === undefined ? 'configuration' : basename(loaded.file))
  const layers: Layers = { option: option.config, environment: readEnvironment(env), file: file.config, ci: isCi(env) }
  const { config, conflicts } = settle(layers, [...option.problems, ...file.problems])
  const problems = [...option.problems, ...file.problems, ...conflicts]
  if (problems.length > 0) throw invalid(problems, loaded.file)
  const { databases, ...rest } = config
  const { root, project } = loaded
  const whole = { root, file: loaded.file, project, environment: env.NODE_ENV || 'test', ...rest }
  return Object.freeze(eachDatabase(whole, databases))
}

/** The problems of one source, and what is left of it without them, so that the rest can still be checked together. */
function check(source: unknown, name: string): { readonly config: TestDbConfig; readonly problems: SourceProblem[] } {
  const problems = findProblems(source === undefined ? {} : source).map((problem) => ({ ...problem, source: name }))
  if (problems.some(({ path }) => path === '')) return { config: {}, problems }
  const wrong = new Set(problems.map(({ path }) => topKey(path)))
  const right = Object.entries((source ?? {}) as object).filter(([key]) => !wrong.has(key))
  return { config: Object.fromEntries(right) as TestDbConfig, problems }
}

interface SourceProblem extends Problem {
  readonly source: string
}

/** Merges, and takes back values of the environment that do not go with the rest: they may not stop a run. */
function settle(layers: Layers, known: readonly Problem[]): { config: MergedConfig; conflicts: SourceProblem[] } {
  const config = merge(layers)
  const wrong = new Set(known.map(({ path }) => topKey(path)))
  const conflicts = findConflicts(config).filter(({ between }) => !between.some((key) => wrong.has(key)))
  for (const conflict of conflicts) {
    const key = conflict.between.find((name) => name !== 'server' && config.origins[name] === 'environment')
    if (key === undefined || key === 'server' || key === 'databases' || key === 'keepOnFailure') continue
    publish('warning.raised', { message: `${variableName(key)} is ignored: ${formatProblem(conflict)}.` })
    const { [key]: _ignored, ...environment } = layers.environment
    return settle({ ...layers, environment }, known)
  }
  return { config, conflicts }
}

interface Conflict extends SourceProblem {
  /** The keys that do not go together, the one to give up first. */
  readonly between: readonly ('reset' | 'isolation' | 'server' | 'scope' | 'keepOnFailure' | 'databases')[]
}

function findConflicts(config: MergedConfig): Conflict[] {
  const { isolation, reset, server, scope, keepOnFailure } = config
  const conflicts: Conflict[] = []
  const add = (path: string, between: Conflict['between'], message: string): void => {
    conflicts.push({ path, between, message, source: 'all values together' })
  }
  if (isolation === 'shared' && reset !== 'none') {
    const why = "because isolation is 'shared' and others use the same database"
    add('reset', ['reset', 'isolation'], `expected 'none', ${why}, got '${reset}'`)
  }
  if (isolation === 'shared' && scope !== 'worker') {
    const why = "because isolation is 'shared' and there is one database for all"
    add('scope', ['scope', 'isolation'], `expected 'worker', ${why}, got '${scope}'`)
  }
  if (isolation === 'schema' && (reset === 'rows' || reset === 'clone')) {
    const why = "because isolation is 'schema' and a schema can be neither watched by its owner nor cloned"
    add('reset', ['reset', 'isolation'], `expected 'truncate', 'rollback' or 'none', ${why}, got '${reset}'`)
  }
  if (isolation === 'schema' && scope !== 'worker') {
    const why = "because isolation is 'schema' and each schema has to be migrated"
    add('scope', ['scope', 'isolation'], `expected 'worker', ${why}, got '${scope}'`)
  }
  if (isolation === 'schema' && keepOnFailure) {
    const why = "because isolation is 'schema' and a schema can not be copied"
    add('keepOnFailure', ['keepOnFailure', 'isolation'], `expected false, ${why}, got true`)
  }
  if (isolation !== 'database' && server.kind !== 'url') {
    const needed = "server: { kind: 'url', url: … } or TESTDB_URL"
    add('isolation', ['isolation', 'server'], `'${isolation}' needs ${needed}, got server: { kind: '${server.kind}' }`)
  }
  if (server.kind === 'pg-mem' && scope === 'test') {
    add(
      'scope',
      ['scope', 'server'],
      "expected 'worker' or 'file', because pg-mem has one database for a process, got 'test'",
    )
  }
  if (server.kind === 'pg-mem' && keepOnFailure) {
    const why = 'because a database of pg-mem goes with its process'
    add('keepOnFailure', ['server'], `expected false, ${why}, got true`)
  }
  if (server.kind === 'url' && server.url === undefined) {
    add('server.url', ['server'], 'expected a connection string here or in TESTDB_URL, got nothing')
  }
  for (const message of conflictsOfDatabases(config, config.databases)) add('databases', ['databases'], message)
  return conflicts
}

function invalid(problems: readonly SourceProblem[], file: string | undefined): TestDbError {
  const sources = [...new Set(problems.map(({ source }) => source))]
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const blocks = sources.map((source) => {
    const lines = problems
      .filter((problem) => problem.source === source)
      .map((problem) => `  ${formatProblem(problem)}`)
    return sources.length === 1 ? lines.join('\n') : `${source}:\n${lines.join('\n')}`
  })
  const where = sources.length === 1 ? ` in ${sources[0]}` : ''
  return new TestDbError('TESTDB_CONFIG_INVALID', `${count}${where}\n${blocks.join('\n')}`, {
    details: { file, problems: problems.map(({ path, message, source }) => ({ path, message, source })) },
  })
}

function topKey(path: string): string {
  return path.split(/[.[]/, 1)[0] ?? ''
}

function isCi(env: Environment): boolean {
  return !['', '0', 'false'].includes(env.CI?.trim().toLowerCase() ?? '')
}
