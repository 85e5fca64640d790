/** The environment variables of testdb: one table for reading them, for the documentation and for `testdb doctor`. */
import { publish } from '../events.ts'
import type { Isolation, ResetName, Scope } from './config.ts'
import { describeValue } from './describe-value.ts'
import { IDLE, ISOLATION, isPostgresUrl, POOL_MAX, RESET, SCOPE, URL_EXPECTED } from './schema.ts'

/** What the environment says; a variable that is unset, empty or wrong is left out. */
export interface EnvironmentValues {
  readonly url?: string
  readonly allow?: boolean
  readonly poolMax?: number | 'auto'
  readonly idle?: number
  readonly reset?: ResetName
  readonly scope?: Scope
  readonly isolation?: Isolation
}

export type Environment = Readonly<Record<string, string | undefined>>

interface Variable<T> {
  readonly name: string
  /** The key of the configuration that it sets, if it sets one. */
  readonly key: string | undefined
  readonly meaning: string
  readonly expected: string
  /** Undefined: not a value that this variable may have. */
  parse(text: string): T | undefined
  /** The value is never shown. */
  readonly secret?: boolean
}

const integer =
  (range: { readonly min: number; readonly max: number }) =>
  (text: string): number | undefined => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    return value >= range.min && value <= range.max ? value : undefined
  }

const oneOf =
  <T extends string>(values: readonly T[]) =>
  (text: string): T | undefined =>
    values.find((value) => value === text)

const SWITCH: Readonly<Record<string, boolean>> = { 1: true, true: true, 0: false, false: false }

const READ = {
  url: {
    name: 'TESTDB_URL',
    key: 'server',
    meaning:
      'Use the Postgres server at this URL instead of the configured one; its database is where testdb coordinates.',
    expected: URL_EXPECTED,
    parse: (text) => (isPostgresUrl(text) ? text : undefined),
    secret: true,
  },
  allow: {
    name: 'TESTDB_ALLOW',
    key: 'server.allow',
    meaning: 'Says that the server of the URL is for tests although the name of its database does not.',
    expected: '1 or 0',
    parse: (text) => SWITCH[text.toLowerCase()],
  },
  poolMax: {
    name: 'TESTDB_POOL_MAX',
    key: 'pool.max',
    meaning: "Connections at most in each pool; 'auto': what the server's connections allow.",
    expected: POOL_MAX.expected,
    parse: (text) => (text === 'auto' ? text : integer(POOL_MAX)(text)),
  },
  idle: {
    name: 'TESTDB_IDLE',
    key: 'idle',
    meaning: 'Milliseconds that the embedded server outlives its last session.',
    expected: IDLE.expected,
    parse: integer(IDLE),
  },
  reset: {
    name: 'TESTDB_RESET',
    key: 'reset',
    meaning: 'How a database is put back between tests.',
    expected: RESET.expected,
    parse: oneOf<ResetName>(RESET.values),
  },
  scope: {
    name: 'TESTDB_SCOPE',
    key: 'scope',
    meaning: 'Who shares a database.',
    expected: SCOPE.expected,
    parse: oneOf<Scope>(SCOPE.values),
  },
  isolation: {
    name: 'TESTDB_ISOLATION',
    key: 'isolation',
    meaning: 'Whether each worker has its own database.',
    expected: ISOLATION.expected,
    parse: oneOf<Isolation>(ISOLATION.values),
  },
} as const satisfies { [K in keyof EnvironmentValues]-?: Variable<NonNullable<EnvironmentValues[K]>> }

/** Every variable that changes what testdb does, for people. */
export const ENVIRONMENT_VARIABLES: readonly Pick<Variable<unknown>, 'name' | 'key' | 'meaning' | 'expected'>[] = [
  ...Object.values(READ).map(({ name, key, meaning, expected }) => ({ name, key, meaning, expected })),
  {
    // Read by the embedded server, which needs it before there is a configuration.
    name: 'TESTDB_CACHE_DIR',
    key: undefined,
    meaning: 'Where binaries and data of the embedded server lie.',
    expected: 'the path of a folder',
  },
]

/** The variable that sets a value of the environment, for messages about it. */
export function variableName(value: keyof EnvironmentValues): string {
  return READ[value].name
}

/** Reads the table. A wrong value must not stop a run that is right without it, so it is reported and left out. */
export function readEnvironment(env: Environment): EnvironmentValues {
  const values: Record<string, unknown> = {}
  for (const [key, variable] of Object.entries(READ) as [string, Variable<unknown>][]) {
    const text = env[variable.name]?.trim()
    if (!text) continue
    const value = variable.parse(text)
    if (value !== undefined) values[key] = value
    else {
      const got = variable.secret ? 'a value that is not shown' : describeValue(text)
      publish('warning.raised', {
        message: `${variable.name} is ignored: expected ${variable.expected}, got ${got}.`,
      })
    }
  }
  return values as EnvironmentValues
}
