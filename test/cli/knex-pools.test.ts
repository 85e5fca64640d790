/** What the doctor says about the pools of a knexfile. */
import { expect, test } from 'vitest'
import type { Check } from '../../src/cli/doctor/check.ts'
import { checkEnvironment, checkKnexPools } from '../../src/cli/doctor/knex-pools.ts'
import { UNCONFIGURED, type WhatIfQuestion } from '../../src/cli/doctor/what-if.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { knexMigrator } from '../../src/migrators/knex.ts'
import type { KnexConfig } from '../../src/migrators/knex-types.ts'
import { projectFolder } from '../helpers/project-folder.ts'

const LIMITS = { statement_timeout: 30_000, idle_in_transaction_session_timeout: 60_000 }
const GOOD = {
  client: 'pg',
  connection: { host: 'db', password: 'geheim', ...LIMITS },
  pool: { min: 0, max: 20 },
  acquireConnectionTimeout: 5000,
}
const NO_STATEMENT = 'no statement_timeout'
const NO_IDLE = 'no idle_in_transaction_session_timeout'

function look(config: unknown, question: Partial<WhatIfQuestion> = {}): Check {
  const found = { config: config as KnexConfig }
  const check = checkEnvironment('knexfile.js', { name: 'production', found }, { server: UNCONFIGURED, ...question })
  expect(JSON.stringify(check)).not.toContain('geheim')
  return check
}

test('a pool with every limit', () => {
  expect(look(GOOD)).toEqual({
    id: 'pool.production',
    status: 'ok',
    message: 'knexfile.js, production: pool of 0 to 20',
    fixes: [],
  })
})

test("Knex' own defaults: each problem with the line to add", () => {
  expect(look({ client: 'pg', connection: { host: 'db', password: 'geheim' } })).toEqual({
    id: 'pool.production',
    status: 'warning',
    message: `knexfile.js, production: pool of 2 to 10: ${NO_STATEMENT}; ${NO_IDLE}; waits 60 s for a connection (Knex' default)`,
    fixes: [
      'statement_timeout: 30_000, in `connection`',
      'idle_in_transaction_session_timeout: 60_000, in `connection`',
      'acquireConnectionTimeout: 10_000',
    ],
  })
})

const url = (query: string): string => `postgres://app:geheim@db/app?${query}`
const BOTH = 'statement_timeout=5000&idle_in_transaction_session_timeout=5000'
const IN_OPTIONS = '-c statement_timeout=5s --idle-in-transaction-session-timeout=1min'

test.each<[what: string, connection: unknown, missing: string[]]>([
  ['a URL with both', url(BOTH), []],
  ['a URL with one', url('statement_timeout=5000'), [NO_IDLE]],
  ['a URL with options', url(`options=${encodeURIComponent(IN_OPTIONS)}`), []],
  ['a URL with neither', url('sslmode=disable'), [NO_STATEMENT, NO_IDLE]],
  ['a URL in an object', { connectionString: url(BOTH) }, []],
  ['a URL in an object, with limits beside it', { connectionString: url(''), ...LIMITS }, []],
  ['options in an object', { host: 'db', options: IN_OPTIONS }, []],
  ['0 is no limit', { ...LIMITS, statement_timeout: 0 }, [NO_STATEMENT]],
  [
    '0 in a URL is none either',
    url(`${BOTH}&statement_timeout=0`.replace('statement_timeout=5000&', '')),
    [NO_STATEMENT],
  ],
  ['a variable that is not set here', undefined, [NO_STATEMENT, NO_IDLE]],
])('time limits: %s', (_, connection, missing) => {
  const { message } = look({ ...GOOD, connection })
  expect([NO_STATEMENT, NO_IDLE].filter((text) => message.includes(text))).toEqual(missing)
})

test('a function as connection is not called', () => {
  const connection = (): never => {
    throw new Error('called')
  }
  expect(look({ ...GOOD, connection }).status).toBe('ok')
})

test('a limit that each new connection sets is one', () => {
  const afterCreate = (connection: { query(sql: string, done: unknown): void }, done: unknown): void =>
    connection.query('set statement_timeout = 5000', done)
  const { message } = look({ ...GOOD, connection: { host: 'db' }, pool: { min: 0, max: 5, afterCreate } })
  expect(message).toBe(`knexfile.js, production: pool of 0 to 5: ${NO_IDLE}`)
})

test('the acquire timeout may be that of the pool', () => {
  const { acquireConnectionTimeout: _, ...rest } = GOOD
  expect(look(rest).fixes).toEqual(['acquireConnectionTimeout: 10_000'])
  expect(look({ ...rest, pool: { ...GOOD.pool, acquireTimeoutMillis: 5000 } }).status).toBe('ok')
})

test.each<[what: string, pool: object, question: Partial<WhatIfQuestion>, problem: RegExp, fix: string]>([
  ['1', { min: 0, max: 1 }, {}, /beside an open transaction waits for ever/, 'pool: { min: 0, max: 2 }'],
  ['min above max', { min: 30, max: 20 }, {}, /min 30 is above max 20/, 'pool: { min: 0, max: 20 }'],
  ["Knex' min above max", { max: 1 }, {}, /min 2 \(Knex' default\) is above max 1/, 'pool: { min: 0, max: 2 }'],
  [
    'below the load',
    { min: 0, max: 20 },
    { users: 63 },
    /too small for the load of 63 \(1 pod × pool 20\)$/,
    'pool: { min: 0, max: 63 }',
  ],
  [
    'above the server',
    { min: 0, max: 88 },
    {},
    /too large: 1 pod × pool 88 = 88, and max_connections 100 \(Postgres' default\) gives 87$/,
    'pool: { min: 0, max: 87 }',
  ],
  [
    'above the server, with pods and locks',
    { min: 0, max: 20 },
    { pods: 3, lockPool: 10 },
    /too large: 3 pods × \(pool 20 \+ lock pool 10\) = 90/,
    'pool: { min: 0, max: 19 }',
  ],
  [
    'a text',
    { min: 0, max: '20' },
    {},
    /pool of 0 to a text: Knex takes whole numbers only/,
    'pool: { min: 0, max: Number(…) }',
  ],
])('a pool that is wrong: %s', (_, pool, question, problem, fix) => {
  const check = look({ ...GOOD, pool }, question)
  expect(check.status).toBe('warning')
  expect(check.message).toMatch(problem)
  expect(check.fixes).toEqual([fix])
})

test('a load that the server can not carry: the pool for it, and the max_connections', () => {
  expect(look(GOOD, { users: 200, pods: 5 }).fixes).toEqual([
    'pool: { min: 0, max: 40 }',
    'Set max_connections = 226 on the server.',
  ])
  // The pool of now would do for the server, the one that is needed would not.
  const check = look(GOOD, { users: 100 })
  expect(check.message).not.toContain('too large')
  expect(check.fixes).toEqual(['pool: { min: 0, max: 100 }', 'Set max_connections = 115 on the server.'])
})

test('the pool that fits the load is enough', () => {
  expect(look(GOOD, { users: 60, pods: 3 })).toMatchObject({ status: 'ok' })
})

test.each<[what: string, config: object, message: RegExp]>([
  ['another database', { client: 'sqlite3', connection: {} }, /not Postgres/],
  ['no connection', { client: 'pg' }, /no connection, so no pool/],
  ['a pool of its own', { client: 'pg', connectionPool: {} }, /a pool of its own/],
])('not looked at: %s', (_, config, message) => {
  expect(look(config)).toMatchObject({ status: 'skipped', message: expect.stringMatching(message) })
})

const FILE = `
const good = ${JSON.stringify(GOOD)}
module.exports = {
  development: { ...good, pool: { min: 0, max: 1 } },
  production: good,
  lite: { client: 'sqlite3' },
  helper: () => good,
  get broken() { throw new Error('nothing for postgres://app:ge/heim@db/app here') },
  note: 'a text',
  limits: { max: 5 },
}`

async function inProject(files: Record<string, string>, options = {}): Promise<Check[]> {
  using project = projectFolder(files, { packages: [] })
  const config = await resolveConfig({ cwd: project.root, env: {}, options })
  return await checkKnexPools(config, { server: UNCONFIGURED })
}

test('each environment has a line; what is no configuration has none; one that throws stops nothing', async () => {
  const checks = await inProject({ 'knexfile.js': FILE })
  expect(checks.map(({ id, status }) => `${id} ${status}`)).toEqual([
    'pool.development warning',
    'pool.production ok',
    'pool.lite skipped',
    'pool.helper skipped',
    'pool.broken warning',
  ])
  expect(checks[3]?.message).toBe('knexfile.js, helper: a function, not looked at')
  expect(checks[4]?.message).toBe('knexfile.js, broken: can not be read: nothing for postgres://…@db/app here')
})

test.each([
  ['one for all', { 'knexfile.ts': `export default ${JSON.stringify(GOOD)}` }, ['pool']],
  [
    'one for all, made by a function',
    { 'knexfile.cjs': `module.exports = async () => (${JSON.stringify(GOOD)})` },
    ['pool'],
  ],
  [
    'functions of Knex beside one for all',
    { 'knexfile.mjs': "export default { client: 'pg', wrapIdentifier: () => 1 }" },
    ['pool'],
  ],
  ['named exports', { 'knexfile.mjs': `export const production = ${JSON.stringify(GOOD)}` }, ['pool.production']],
  ['no knexfile', {}, []],
  ['nothing in it', { 'knexfile.js': 'module.exports = 5' }, []],
])('a knexfile with %s', async (_, files, ids) => {
  const checks = await inProject(files as Record<string, string>)
  expect(
    checks.map(({ id }) => id),
    JSON.stringify(checks),
  ).toEqual(ids)
})

test('a knexfile that throws is one warning, without its credentials', async () => {
  const checks = await inProject({ 'knexfile.js': "throw new Error('postgres://app:geheim@db')" })
  expect(checks).toMatchObject([{ id: 'pool', status: 'warning' }])
  expect(checks[0]?.message).toContain('postgres://…@db')
})

test('the knexfile that the migrator names, and none when it wants none', async () => {
  const files = { 'db/knexfile.js': FILE, 'knexfile.js': 'module.exports = 5' }
  const named = await inProject(files, { migrator: knexMigrator({ knexfile: 'db/knexfile.js' }) })
  expect(named.map(({ message }) => message)).toContain('db/knexfile.js, production: pool of 0 to 20')
  expect(await inProject({ 'knexfile.js': FILE }, { migrator: knexMigrator({ knexfile: false }) })).toEqual([])
})
