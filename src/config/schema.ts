/**
 * What each key accepts. The text of a message is what was expected; `validate.ts` adds the path and what came.
 * `in this version` marks values that are short of the public contract, so that nobody looks for a typing error.
 */
import * as v from 'valibot'
import { DEFAULT_GUARDS, type GuardsConfig } from '../guards/levels.ts'
import type {
  EmbeddedServerConfig,
  NamedDatabaseConfig,
  PgMemServerConfig,
  ReportConfig,
  TestcontainersServerConfig,
  TestDbConfig,
  UrlServerConfig,
} from './config.ts'

/** Every key must be there: a key that is added to the type without a rule here does not compile. */
type Entries<T> = Record<keyof T & string, v.GenericSchema>

const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Rejects arrays, which valibot takes for objects, and every key without a rule. */
function record<T extends v.ObjectEntries>(entries: T, expected: string) {
  return v.pipe(v.custom<object>(isRecord, expected), v.objectWithRest(entries, v.never(), expected))
}

interface Range {
  readonly min: number
  readonly max: number
  readonly expected: string
}

function integer({ min, max, expected }: Range) {
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(min, expected), v.maxValue(max, expected))
}

function texts(expected: string, pattern: RegExp) {
  return v.array(v.pipe(v.string(expected), v.regex(pattern, expected)), `an array, each item ${expected}`)
}

const NOT_BLANK = /\S/
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** PG* are set by testdb itself, TESTDB_* are read by it, and without PATH nothing runs. */
const URL_VARIABLE_NAME = /^(?!(?:PG[A-Z]+|TESTDB_\w+|PATH|NODE_OPTIONS)$)[A-Za-z_][A-Za-z0-9_]*$/
const boolean = v.boolean('true or false')
const variableNames = texts("the name of an environment variable such as 'DATABASE_URL'", VARIABLE_NAME)
const urlVariableNames = texts(
  "the name of a variable for a URL such as 'DATABASE_URL', not PG…, TESTDB_… or PATH",
  URL_VARIABLE_NAME,
)

export const ISOLATION = {
  expected: "'database', 'schema' or 'shared'",
  values: ['database', 'schema', 'shared'],
} as const
export const RESET = {
  expected: "'rows', 'truncate', 'rollback', 'clone' or 'none' in this version",
  values: ['rows', 'truncate', 'rollback', 'clone', 'none'],
} as const
export const SCOPE = { expected: "'worker', 'file' or 'test'", values: ['worker', 'file', 'test'] } as const
const PORT = { expected: 'an integer from 1 to 65535', min: 1, max: 65_535 } as const
export const POOL_MAX = { expected: "'auto', or an integer from 1 to 1000", min: 1, max: 1000 } as const
const MILLISECONDS = { expected: 'an integer from 1 to 86400000 (milliseconds)', min: 1, max: 86_400_000 } as const
export const IDLE = { expected: 'an integer from 0 to 86400000 (milliseconds)', min: 0, max: 86_400_000 } as const
export const URL_EXPECTED = 'a connection string such as postgres://user:password@host:5432/app_test'

/** Only the form is checked, and nothing is read: certificates named in the URL are the driver's business. */
export function isPostgresUrl(text: string): boolean {
  // An empty host next to a user means a Unix socket: libpq allows it, the URL standard does not.
  return /^postgres(ql)?:\/\/./i.test(text) && URL.canParse(text.replace('@/', '@socket/').replaceAll(' ', '%20'))
}

function isMigrator(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { name, load } = value as Record<string, unknown>
  return typeof name === 'string' && name !== '' && typeof load === 'function'
}

const embeddedEntries = {
  kind: v.literal('embedded'),
  storage: v.optional(v.picklist(['auto', 'memory', 'disk'], "'auto', 'memory' or 'disk'")),
  port: v.optional(integer(PORT)),
} satisfies Entries<EmbeddedServerConfig>

const urlEntries = {
  kind: v.literal('url'),
  url: v.optional(v.pipe(v.string(URL_EXPECTED), v.check(isPostgresUrl, URL_EXPECTED))),
  allow: v.optional(boolean),
} satisfies Entries<UrlServerConfig>

const IMAGE = "the name of an image such as 'postgres:18'"
const testcontainersEntries = {
  kind: v.literal('testcontainers'),
  image: v.optional(v.pipe(v.string(IMAGE), v.regex(/^[^\s]+$/, IMAGE))),
} satisfies Entries<TestcontainersServerConfig>

const pgMemEntries = { kind: v.literal('pg-mem') } satisfies Entries<PgMemServerConfig>

const serverEntries = {
  embedded: embeddedEntries,
  url: urlEntries,
  testcontainers: testcontainersEntries,
  'pg-mem': pgMemEntries,
} as const

const milliseconds = v.optional(integer(MILLISECONDS))
const poolEntries = {
  max: v.optional(v.union([v.literal('auto'), integer(POOL_MAX)], POOL_MAX.expected)),
  acquireMs: milliseconds,
  idleMs: milliseconds,
  lifetimeMs: milliseconds,
  statementMs: milliseconds,
  idleInTransactionMs: milliseconds,
} satisfies Entries<NonNullable<TestDbConfig['pool']>>
const roleEntries = { superuser: v.optional(boolean) } satisfies Entries<NonNullable<TestDbConfig['role']>>
const hashEntries = {
  include: v.optional(texts("a glob such as 'db/views/**/*.sql'", NOT_BLANK)),
  env: v.optional(variableNames),
} satisfies Entries<NonNullable<TestDbConfig['hash']>>

const server = v.variant(
  'kind',
  [
    v.objectWithRest(embeddedEntries, v.never()),
    v.objectWithRest(urlEntries, v.never()),
    v.objectWithRest(testcontainersEntries, v.never()),
    v.objectWithRest(pgMemEntries, v.never()),
  ],
  (issue) =>
    issue.path === undefined
      ? "an object such as { kind: 'embedded' } or { kind: 'url', url: 'postgres://…' }"
      : "'embedded', 'url', 'testcontainers' or 'pg-mem'",
)

const SEED = 'the path of a file or folder, or a function'
const seed = v.union([v.pipe(v.string(), v.regex(NOT_BLANK, SEED)), v.function()], SEED)

const migrator = v.custom(isMigrator, "a migrator such as knexMigrator({ directory: 'migrations' })")
const env = v.optional(
  v.union(
    [v.literal(false), urlVariableNames],
    "false, or an array of names of environment variables such as ['DATABASE_URL']",
  ),
)
const extensions = v.optional(texts("the name of an extension such as 'pg_trgm'", NOT_BLANK))
const hash = v.optional(record(hashEntries, "an object such as { include: ['db/**/*.sql'] }"))

const namedEntries = {
  migrator,
  seed: v.optional(seed),
  env,
  extensions,
  hash,
} satisfies Entries<NamedDatabaseConfig>
const DATABASE_NAME = "names such as 'audit': a letter, then letters, digits and _"
const databases = v.record(
  v.pipe(v.string(), v.regex(/^[A-Za-z]\w*$/, DATABASE_NAME)),
  record(namedEntries, 'an object such as { migrator: sqlMigrator({ … }) }'),
  'an object such as { main: { migrator: … }, audit: { migrator: … } }',
)

const level = v.picklist(['error', 'warn', 'off'], "'error', 'warn' or 'off'")
const QUERIES = { expected: 'an integer from 1 to 1000000 (statements)', min: 1, max: 1_000_000 } as const
const mapValues = <K extends string, T>(object: Readonly<Record<K, unknown>>, make: () => T): Record<K, T> =>
  Object.fromEntries(Object.keys(object).map((key) => [key, make()])) as Record<K, T>
const MANY_QUERIES = "'off', or an object such as { max: 50, level: 'warn' }"
const manyQueriesEntries = { max: integer(QUERIES), level: v.optional(level) }
const guardEntries = {
  ...mapValues(DEFAULT_GUARDS, () => v.optional(level)),
  manyQueries: v.optional(v.union([v.literal('off'), record(manyQueriesEntries, MANY_QUERIES)], MANY_QUERIES)),
} satisfies Entries<GuardsConfig>

const PRINT = { expected: "'always', 'problems' or 'never'", values: ['always', 'problems', 'never'] } as const
const KEEP = { expected: 'an integer from 0 to 1000 (runs)', min: 0, max: 1000 } as const
const reportEntries = {
  print: v.optional(v.picklist(PRINT.values, PRINT.expected)),
  keep: v.optional(integer(KEEP)),
} satisfies Entries<ReportConfig>

function isLogger(value: unknown): boolean {
  return isRecord(value) && ['info', 'warn', 'error'].every((key) => typeof (value as Row)[key] === 'function')
}
type Row = Record<string, unknown>

const configEntries = {
  server: v.optional(server),
  migrator: v.optional(migrator),
  databases: v.optional(databases),
  seed: v.optional(seed),
  isolation: v.optional(v.picklist(ISOLATION.values, ISOLATION.expected)),
  reset: v.optional(v.picklist(RESET.values, RESET.expected)),
  onDdl: v.optional(v.picklist(['defer', 'recreate'], "'defer' or 'recreate'")),
  scope: v.optional(v.picklist(SCOPE.values, SCOPE.expected)),
  keepOnFailure: v.optional(boolean),
  pool: v.optional(record(poolEntries, 'an object such as { max: 10 }')),
  env,
  role: v.optional(record(roleEntries, 'an object such as { superuser: true }')),
  extensions,
  hash,
  idle: v.optional(integer(IDLE)),
  guards: v.optional(record(guardEntries, "an object such as { openPool: 'off' }")),
  report: v.optional(record(reportEntries, "an object such as { print: 'problems' }")),
  logger: v.optional(v.custom<object>(isLogger, 'an object with info(), warn() and error(), such as console')),
  onEvent: v.optional(v.function('a function that takes an event')),
} satisfies Entries<TestDbConfig>

export const configSchema = record(configEntries, "an object such as { reset: 'rows' }")

/** The accepted keys of the object at `path`; `kind` tells the sorts of server apart. */
export function acceptedKeys(path: string, kind?: unknown): readonly string[] {
  if (path === '') return Object.keys(configEntries)
  if (path === 'server') return Object.keys(serverEntries[kind as keyof typeof serverEntries] ?? embeddedEntries)
  if (/^databases\.\w+$/.test(path)) return Object.keys(namedEntries)
  if (/^databases\.\w+\.hash$/.test(path)) return Object.keys(hashEntries)
  const nested: Record<string, object> = {
    pool: poolEntries,
    role: roleEntries,
    hash: hashEntries,
    guards: guardEntries,
    report: reportEntries,
    'guards.manyQueries': manyQueriesEntries,
  }
  return Object.keys(nested[path] ?? {})
}
