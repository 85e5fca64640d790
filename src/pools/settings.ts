/** Settings of pools that applications make: an option wins over its environment variable, which wins over the default. */
import { TestDbError } from '../errors.ts'
import { type ConnectionTarget, parseUrl } from '../postgres/index.ts'

/** One number that a pool can be given. */
export interface NumberSetting {
  readonly env?: string
  readonly fallback: number
  /** Largest accepted value; the smallest is 1: in the driver and the server 0 means "without a limit". */
  readonly most: number
  readonly unit: 'ms' | 'connections'
}

/** A day: a longer limit is none, and 25 days more than Node's timers can count. */
export const MOST_MS = 24 * 60 * 60_000
/** As `pool.max` of the configuration: more is a typing error on any server. */
export const MOST_CONNECTIONS = 1_000

export interface CommonOptions {
  /** Where the database is. @default process.env.DATABASE_URL */
  readonly connectionString?: string | undefined
  /** What `pg_stat_activity` shows. */
  readonly applicationName?: string | undefined
}

export interface PoolSettings<K extends string> {
  readonly target: ConnectionTarget
  readonly applicationName: string
  readonly numbers: Readonly<Record<K, number>>
}

/**
 * Reads all settings of `maker` (for messages: `createPool`).
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once. A wrong variable is a warning of the process, once, and ignored.
 */
export function readSettings<K extends string>(
  maker: string,
  specs: Readonly<Record<K, NumberSetting>>,
  options: CommonOptions & Readonly<Partial<Record<NoInfer<K>, number | undefined>>>,
  defaultName: string,
  env: NodeJS.ProcessEnv = process.env,
): PoolSettings<K> {
  if (typeof options !== 'object' || options === null) {
    throw wrongArgument(maker, 'options', "an object such as { connectionString: 'postgresql://…' }", options)
  }
  const problems: string[] = []
  const names = Object.keys(specs) as K[]
  const known = [...names, 'connectionString', 'applicationName']
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) problems.push(`${key}: unknown option; accepted: ${known.join(', ')}`)
  }
  const numbers = {} as Record<K, number>
  for (const name of names) {
    const spec = specs[name]
    const given: unknown = options[name]
    if (given === undefined) numbers[name] = fromEnvironment(maker, spec, env)
    else if (isIn(spec, given)) numbers[name] = given
    else problems.push(`${name}: expected ${expected(spec)}, got ${show(given)}`)
  }
  const { applicationName = defaultName } = options
  if (typeof applicationName !== 'string' || applicationName === '')
    problems.push(`applicationName: expected a text that is not empty, got ${show(applicationName)}`)
  // Only what is left out: a null is a mistake, and would lead to another database.
  const url = options.connectionString === undefined ? env.DATABASE_URL : options.connectionString
  const target = readTarget(url, problems)
  if (problems.length === 0 && target) return { target, applicationName, numbers }
  throw invalidOptions(maker, problems)
}

/** Wrong options of a function of the application's; `testdb doctor` knows nothing of them. */
export function invalidOptions(maker: string, problems: readonly string[], page = 'docs/locks.md'): TestDbError {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const what = `${count} in the options of ${maker}()\n  ${problems.join('\n  ')}`
  return new TestDbError('TESTDB_CONFIG_INVALID', what, {
    details: { problems },
    fixes: [
      `Correct the options of ${maker}() that are listed above; ${page} has all of them.`,
      'Run `npx testdb doctor` to see whether the server is up.',
    ],
  })
}

export const wrongArgument = (maker: string, name: string, wanted: string, got: unknown, page?: string): TestDbError =>
  invalidOptions(maker, [`${name}: expected ${wanted}, got ${show(got)}`], page)

function readTarget(url: unknown, problems: string[]): ConnectionTarget | undefined {
  try {
    // The parser takes anything for the name of a database.
    if (typeof url === 'string' && /^(postgres(ql)?:\/\/|socket:|\/)/.test(url)) return parseUrl(url)
  } catch {
    // The parser's error has the password in it.
  }
  const got = url === undefined ? 'nothing, and DATABASE_URL is not set' : show(url)
  problems.push(`connectionString: expected postgresql://user:password@host:5432/database, got ${got}`)
  return undefined
}

const warned = new Set<string>()

function fromEnvironment(maker: string, spec: NumberSetting, env: NodeJS.ProcessEnv): number {
  const text = spec.env === undefined ? undefined : env[spec.env]
  if (text === undefined || text.trim() === '') return spec.fallback
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN
  if (isIn(spec, value)) return value
  const warning = `${spec.env}: expected ${expected(spec)}, got ${show(text)}; ${maker}() uses ${spec.fallback}`
  if (!warned.has(warning)) process.emitWarning(warning, { type: 'TestDbWarning', code: 'TESTDB_CONFIG_INVALID' })
  warned.add(warning)
  return spec.fallback
}

const isIn = (spec: NumberSetting, value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= spec.most

const expected = (spec: NumberSetting): string => `an integer from 1 to ${spec.most} (${spec.unit})`

/** A value in a few characters; a text that may hold a password shows only its length. */
export function show(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'string') return `a value of type ${typeof value}`
  return value.length > 20 || /[@:/]/.test(value) ? `a text of ${value.length} characters` : JSON.stringify(value)
}
