import { basename } from 'node:path'
import { expect, test } from 'vitest'
import type { TestDbConfig } from '../../src/config/config.ts'
import { ENVIRONMENT_VARIABLES } from '../../src/config/environment.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { DEFAULT_GUARDS } from '../../src/guards/levels.ts'
import { errorOf, project, warnings } from './helpers.ts'

/** Resolves with a file, an environment and call options of the test's own. */
async function resolve(file: object | undefined, env: Record<string, string> = {}, options?: unknown) {
  const cwd = await project({ 'package.json': file === undefined ? {} : { testdb: file } })
  return resolveConfig({ cwd, env, ...(options === undefined ? {} : { options: options as TestDbConfig }) })
}

test('defaults', async () => {
  const config = await resolve(undefined)
  expect(config).toEqual({
    root: config.root,
    file: undefined,
    project: basename(config.root),
    environment: 'test',
    databaseName: 'main',
    others: [],
    server: { kind: 'embedded' },
    migrator: undefined,
    seed: undefined,
    isolation: 'database',
    reset: 'rows',
    onDdl: 'defer',
    scope: 'worker',
    keepOnFailure: false,
    pool: {
      max: 'auto',
      acquireMs: 5_000,
      idleMs: 30_000,
      lifetimeMs: 1_800_000,
      statementMs: 30_000,
      idleInTransactionMs: 60_000,
    },
    env: ['DATABASE_URL'],
    role: { superuser: false },
    extensions: [],
    hash: { include: [], env: [] },
    idle: 60_000,
    guards: { ...DEFAULT_GUARDS, manyQueries: undefined },
    report: { print: 'always', keep: 10 },
    logger: undefined,
    onEvent: undefined,
    origins: Object.fromEntries(
      'server.kind isolation env migrator databases seed reset onDdl scope keepOnFailure pool.max pool.acquireMs pool.idleMs pool.lifetimeMs pool.statementMs pool.idleInTransactionMs role.superuser extensions hash.include hash.env idle guards.manyQueries report.print report.keep logger onEvent'
        .split(' ')
        .concat(Object.keys(DEFAULT_GUARDS).map((name) => `guards.${name}`))
        .map((path) => [path, 'default']),
    ),
  })
})

test.each([
  ['true', 5_000],
  ['1', 5_000],
  ['github', 5_000],
  ['', 60_000],
  ['false', 60_000],
  ['0', 60_000],
])('CI=%j: idle %i', async (CI, idle) => {
  expect((await resolve(undefined, { CI })).idle).toBe(idle)
})

test('NODE_ENV is the environment, an empty one is not', async () => {
  expect((await resolve(undefined, { NODE_ENV: 'staging' })).environment).toBe('staging')
  expect((await resolve(undefined, { NODE_ENV: '' })).environment).toBe('test')
})

test('options win over environment over file over defaults, for each key by itself', async () => {
  const config = await resolve(
    { reset: 'clone', idle: 1, pool: { max: 2 }, hash: { include: ['a'] }, extensions: ['one'] },
    { TESTDB_POOL_MAX: '5', TESTDB_IDLE: '7' },
    { idle: 9, hash: { env: ['REGION'] }, extensions: [], reset: undefined },
  )
  expect(config).toMatchObject({
    reset: 'clone',
    idle: 9,
    pool: { max: 5 },
    hash: { include: ['a'], env: ['REGION'] },
    extensions: [],
  })
  expect(config.origins).toMatchObject({
    reset: 'file',
    idle: 'option',
    'pool.max': 'environment',
    'hash.include': 'file',
    'hash.env': 'option',
    extensions: 'option',
    'role.superuser': 'default',
  })
})

const URL_A = 'postgres://me:hunter2@db.example/app_test'
const URL_B = 'postgres://me:hunter2@other.example/prod'

test('TESTDB_URL replaces the server of the file, and what was allowed for that one', async () => {
  const config = await resolve({ server: { kind: 'url', url: URL_A, allow: true } }, { TESTDB_URL: URL_B })
  expect(config.server).toEqual({ kind: 'url', url: URL_B })
  expect(config.origins['server.url']).toBe('environment')
  expect(config.origins['server.allow']).toBeUndefined()
})

test('a url server without a URL takes TESTDB_URL and keeps its allow', async () => {
  const file = { server: { kind: 'url', allow: true } }
  const config = await resolve(file, { TESTDB_URL: URL_A })
  expect(config.server).toEqual({ kind: 'url', url: URL_A, allow: true })
  expect(config.origins).toMatchObject({ 'server.url': 'environment', 'server.allow': 'file', 'server.kind': 'file' })
  const error = await errorOf(resolve(file))
  expect(error.message).toContain('server.url: expected a connection string here or in TESTDB_URL, got nothing')
})

test('a server of the call options wins over TESTDB_URL', async () => {
  const config = await resolve(undefined, { TESTDB_URL: URL_A }, { server: { kind: 'embedded' } })
  expect(config.server).toEqual({ kind: 'embedded' })
  expect((await resolve(undefined, { TESTDB_URL: URL_A }, { server: { kind: 'url' } })).server).toEqual({
    kind: 'url',
    url: URL_A,
  })
})

test('TESTDB_ALLOW belongs to url servers only, and an option beats it', async () => {
  const TESTDB_ALLOW = '1'
  expect((await resolve(undefined, { TESTDB_ALLOW })).server).toEqual({ kind: 'embedded' })
  expect((await resolve({ server: { kind: 'url', url: URL_A } }, { TESTDB_ALLOW })).server).toMatchObject({
    allow: true,
  })
  const options = { server: { kind: 'url', url: URL_A, allow: false } }
  expect((await resolve(undefined, { TESTDB_ALLOW }, options)).server).toMatchObject({ allow: false })
})

test('isolation schema: truncate by default, and what needs a database of its own is refused', async () => {
  const url = { kind: 'url', url: URL_A }
  expect(await resolve({ isolation: 'schema', server: url })).toMatchObject({ isolation: 'schema', reset: 'truncate' })
  const wrong = { isolation: 'schema', server: url, reset: 'rows', scope: 'file', keepOnFailure: true }
  const { message } = await errorOf(resolve(wrong))
  expect(message).toContain(
    `reset: expected 'truncate', 'rollback' or 'none', because isolation is 'schema' and a schema can be neither watched by its owner nor cloned, got 'rows'`,
  )
  expect(message).toContain(
    `scope: expected 'worker', because isolation is 'schema' and each schema has to be migrated, got 'file'`,
  )
  expect(message).toContain(
    `keepOnFailure: expected false, because isolation is 'schema' and a schema can not be copied, got true`,
  )
  const heard = warnings()
  expect((await resolve({ isolation: 'schema', server: url }, { TESTDB_RESET: 'clone' })).reset).toBe('truncate')
  expect(heard.join()).toContain('TESTDB_RESET is ignored')
})

test('isolation shared: no reset by default, and only with a url server', async () => {
  const url = { kind: 'url', url: URL_A }
  expect(await resolve({ isolation: 'shared', server: url })).toMatchObject({ isolation: 'shared', reset: 'none' })
  expect(await resolve({ isolation: 'shared' }, { TESTDB_URL: URL_A })).toMatchObject({ reset: 'none' })
  const error = await errorOf(resolve({ isolation: 'shared', reset: 'truncate' }))
  expect(error.message).toContain(
    `reset: expected 'none', because isolation is 'shared' and others use the same database, got 'truncate'`,
  )
  expect(error.message).toContain(
    `isolation: 'shared' needs server: { kind: 'url', url: … } or TESTDB_URL, got server: { kind: 'embedded' }`,
  )
})

test('the problems of all sources are in one error', async () => {
  const file = { pool: { max: 'ten' }, isolaton: 'shared' }
  const error = await errorOf(resolve(file, {}, { isolation: 'shared', reset: 'truncate', idle: 1.5 }))
  expect(error.code).toBe('TESTDB_CONFIG_INVALID')
  expect(error.what).toBe(
    [
      '5 problems',
      'call options:',
      '  idle: expected an integer from 0 to 86400000 (milliseconds), got 1.5',
      'package.json:',
      `  pool.max: expected 'auto', or an integer from 1 to 1000, got "ten"`,
      '  isolaton: unknown key, did you mean `isolation`?',
      'all values together:',
      `  reset: expected 'none', because isolation is 'shared' and others use the same database, got 'truncate'`,
      `  isolation: 'shared' needs server: { kind: 'url', url: … } or TESTDB_URL, got server: { kind: 'embedded' }`,
    ].join('\n'),
  )
  expect(error.details.problems).toHaveLength(5)
})

test('a wrong value does not cause a second complaint', async () => {
  const wrongServer = await errorOf(resolve({ isolation: 'shared', server: { kind: 'docker' } }))
  expect(wrongServer.details.problems).toHaveLength(1)
  const wrongReset = await errorOf(resolve({ isolation: 'shared', reset: 'rows' }, { TESTDB_URL: URL_A }))
  expect(wrongReset.details.problems).toHaveLength(1)
})

test('wrong values of the environment fall back to the next source and say so', async () => {
  const heard = warnings()
  const config = await resolve(
    { pool: { max: 3 }, reset: 'clone' },
    {
      TESTDB_URL: 'mysql://root:hunter2@db/app',
      TESTDB_ALLOW: 'maybe',
      TESTDB_POOL_MAX: 'ten',
      TESTDB_IDLE: '1e9',
      TESTDB_RESET: 'savepoint',
      TESTDB_ISOLATION: 'table',
    },
  )
  expect(config).toMatchObject({ pool: { max: 3 }, reset: 'clone', idle: 60_000, isolation: 'database' })
  expect(config.server).toEqual({ kind: 'embedded' })
  expect(config.origins['pool.max']).toBe('file')
  expect(heard).toEqual([
    'TESTDB_URL is ignored: expected a connection string such as postgres://user:password@host:5432/app_test, got a value that is not shown.',
    'TESTDB_ALLOW is ignored: expected 1 or 0, got "maybe".',
    `TESTDB_POOL_MAX is ignored: expected 'auto', or an integer from 1 to 1000, got "ten".`,
    'TESTDB_IDLE is ignored: expected an integer from 0 to 86400000 (milliseconds), got "1e9".',
    `TESTDB_RESET is ignored: expected 'rows', 'truncate', 'rollback', 'clone' or 'none' in this version, got "savepoint".`,
    `TESTDB_ISOLATION is ignored: expected 'database', 'schema' or 'shared', got "table".`,
  ])
})

test('right values of the environment are used, empty ones are unset', async () => {
  const heard = warnings()
  const right = { TESTDB_POOL_MAX: '4', TESTDB_IDLE: '0', TESTDB_RESET: 'none', TESTDB_ISOLATION: 'shared' }
  expect(await resolve({ idle: 3 }, { ...right, TESTDB_URL: URL_A, TESTDB_ALLOW: 'true' })).toMatchObject({
    pool: { max: 4 },
    idle: 0,
    reset: 'none',
    isolation: 'shared',
    server: { kind: 'url', url: URL_A, allow: true },
  })
  const empty = Object.fromEntries(ENVIRONMENT_VARIABLES.map(({ name }) => [name, ' ']))
  expect(Object.values((await resolve(undefined, empty)).origins)).not.toContain('environment')
  expect(heard).toEqual([])
})

test('a value of the environment that does not go with the file is given up, not the run', async () => {
  const heard = warnings()
  const shared = { isolation: 'shared', server: { kind: 'url', url: URL_A } }
  expect((await resolve(shared, { TESTDB_RESET: 'truncate' })).reset).toBe('none')
  expect(heard.splice(0).join()).toContain(`TESTDB_RESET is ignored: reset: expected 'none'`)
  expect((await resolve({ reset: 'clone' }, { TESTDB_URL: URL_A, TESTDB_ISOLATION: 'shared' })).isolation).toBe(
    'database',
  )
  expect(heard.splice(0).join()).toContain('TESTDB_ISOLATION is ignored: reset:')
  expect((await resolve(undefined, { TESTDB_ISOLATION: 'shared' })).isolation).toBe('database')
  expect(heard.splice(0).join()).toContain(`TESTDB_ISOLATION is ignored: isolation: 'shared' needs`)
})

test('the result is frozen and apart from its sources', async () => {
  const extensions = ['pg_trgm']
  const migrator = { name: 'mine', load: () => Promise.reject(new Error('not called')), cache: {} }
  const config = await resolve(undefined, {}, { extensions, migrator, server: { kind: 'url', url: URL_A } })
  extensions.push('later')
  expect(config.extensions).toEqual(['pg_trgm'])
  const { origins, server, pool, env, role, hash } = config
  for (const part of [config, origins, server, pool, env, role, hash, hash.include, hash.env, config.extensions]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
  // The migrator is the user's own object and may keep state.
  expect(config.migrator).toBe(migrator)
  expect(Object.isFrozen(migrator)).toBe(false)
})

test('no error ever has the password', async () => {
  const file = { server: { kind: 'url', url: 'http://me:hunter2@db/x', password: 'hunter2' }, reset: URL_A }
  const error = await errorOf(resolve(file, { TESTDB_URL: 'me:hunter2@db' }))
  expect(`${error.message}${JSON.stringify(error.details)}`).not.toContain('hunter2')
})
