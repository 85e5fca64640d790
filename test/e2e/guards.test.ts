/** Guards in real runners: each fires on exactly the guilty test, the others are green and find a clean database; none hangs the run. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, type Project, runIn } from './project.ts'

const CONFIG: Files = {
  'testdb.config.mjs': `export default { role: { superuser: true }, guards: JSON.parse(process.env.GUARDS ?? '{"manyQueries":{"max":15,"level":"error"}}') }\n`,
}

/** What both runners run. `pool` is closed, so what is found is what the tests do. */
const guilty = `
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, application_name: 'mine', max: 5 })
afterAll(() => pool.end())
const url = process.env.DATABASE_URL
const clients = []
const connect = async () => {
  const client = new pg.Client({ connectionString: url, application_name: 'stray' })
  clients.push(client)
  await client.connect()
  return client
}
afterAll(() => Promise.all(clients.map((client) => client.end().catch(() => undefined))))
const innocent = (name) => test(name, async () => {
  const { rows } = await pool.query('select (select count(*)::int from teams) as teams, (select count(*)::int from notes) as notes, pg_try_advisory_lock(42) as free')
  expect(rows).toEqual([{ teams: 2, notes: 0, free: true }])
  await pool.query('select pg_advisory_unlock_all()')
})
let late
onReset(async () => {
  if (late) await pool.query("insert into notes (body) values ('late')")
  late = false
})

innocent('innocent first')
test('leaves a transaction', async () => {
  const client = await connect()
  await client.query('begin')
  await client.query("insert into notes (body) values ('mine')")
})
innocent('innocent after a transaction')
test('leaves a lock', async () => {
  await pool.query('select pg_advisory_lock(42), pg_advisory_lock_shared(-7, 5)')
})
innocent('innocent after a lock')
test('has a long transaction', async () => {
  const client = await pool.connect()
  await client.query('begin')
  await client.query("insert into notes (body) values ('mine')")
  await client.query('select pg_sleep(0.3), pg_advisory_xact_lock(42)')
  await client.query('commit')
  client.release()
})
test('does not wait for its commit', async () => {
  const client = await connect()
  await client.query('begin')
  await client.query("insert into notes (body) values ('mine')")
  void client.query('commit')
})
test('fails by itself', async () => {
  const client = await connect()
  await client.query('begin')
  await client.query('select 1 as own')
  throw new Error('its own error')
})
innocent('innocent after a failure')
test('writes late', async () => {
  void pool.query("insert into notes (body) select 'late' from pg_sleep(0.3)")
  await pool.query('select 1')
})
innocent('innocent after a late write')
test('writes after its reset', () => {
  late = true
})
innocent('innocent after a write after the reset')
test('makes roles', async () => {
  await pool.query('create role guards_kept; create role guards_dropped')
  await pool.query('drop role guards_dropped')
  await pool.query('create role guards_kept').catch(() => undefined)
})
test('cleans up', async () => {
  await pool.query('drop role guards_kept')
})
test('asks often', async () => {
  for (let id = 1; id <= 20; id++) await pool.query('select * from teams where id = ' + id)
})
describe('a block with hooks', () => {
  let client
  beforeAll(async () => {
    client = await connect()
    await client.query('select pg_advisory_lock(43)')
  })
  afterAll(() => client.end())
  innocent('innocent with a lock of its block')
})
test.skip('skipped', () => undefined)
innocent('innocent last')
`

const INNOCENT = [
  'innocent first',
  'innocent after a transaction',
  'innocent after a lock',
  'has a long transaction',
  'does not wait for its commit',
  'innocent after a failure',
  'writes late',
  'innocent after a late write',
  'writes after its reset',
  'innocent after a write after the reset',
  'makes roles',
  'cleans up',
  'innocent with a lock of its block',
  'innocent last',
]

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly title: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

class Results {
  readonly #report: Report

  constructor(project: Project) {
    this.#report = JSON.parse(readFileSync(join(project.root, 'report.json'), 'utf8')) as Report
  }

  /** Titles of all tests of that status. */
  of(status: string, file = ''): string[] {
    return this.#files(file).flatMap(({ assertionResults }) =>
      assertionResults.filter((one) => one.status === status).map(({ title }) => title),
    )
  }

  failure(title: string): string {
    const all = this.#report.testResults.flatMap(({ assertionResults }) => assertionResults)
    return all.find((one) => one.title === title)?.failureMessages.join('\n---\n') ?? ''
  }

  /** What failed the file as a whole. */
  file(name: string): string {
    return this.#files(name)[0]?.message ?? ''
  }

  #files(name: string): Report['testResults'] {
    return this.#report.testResults.filter((one) => one.name.includes(name))
  }
}

/** Warnings of one guard, in the order in which they came. */
const warnings = (output: string, guard: string): string[] =>
  output.split('testdb: ').filter((text) => text.startsWith(`${guard}: `))

const VITEST = ['run', '--reporter=default', '--reporter=json', '--outputFile.json=report.json']
const HEAD =
  "import pg from 'pg'\nimport { afterAll, beforeAll, describe, expect, test } from 'vitest'\nimport { onReset } from 'testdb'\n"
const POOL = 'const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })\n'

function expectErrors(results: Results, output: string): void {
  expect(results.of('passed', 'guilty').sort()).toEqual([...INNOCENT].sort())
  expect(results.failure('leaves a transaction')).toMatch(
    /TESTDB_GUARD_FAILED: idleInTransaction: "leaves a transaction" left 1 session idle in a transaction:\n {2}pid \d+ \("stray"\), for 0\.\d s, last query: insert into notes \(body\) values \(\?\)\n/,
  )
  const lock = results.failure('leaves a lock')
  expect(lock).toContain('TESTDB_GUARD_FAILED: advisoryLock: "leaves a lock" left 2 advisory locks held:')
  expect(lock).toMatch(/\n {2}lock \(42\) of pid \d+ \("mine"\), last query: select pg_advisory_lock\(\?\)/)
  expect(lock).toMatch(/\n {2}shared lock \(-7, 5\) of pid/)
  expect(results.failure('fails by itself')).toContain('its own error')
  expect(results.failure('fails by itself')).not.toContain('TESTDB_GUARD_FAILED')
  expect(output).toContain('idleInTransaction: "fails by itself" left 1 session idle in a transaction')
  expect(results.failure('asks often')).toContain(
    'manyQueries: "asks often" sent 20 statements, at most 15 are expected; 20 of them: select * from teams where id = ?',
  )
  const [writing, written, ...further] = warnings(output, 'lateWrite')
  expect(writing).toMatch(
    /"writes late" was over and still wrote to its database:\n {2}pid \d+ \("mine"\): insert into notes/,
  )
  expect(written).toContain(
    'after "writes after its reset" had ended and its database was put back, something wrote to notes',
  )
  expect(further).toEqual([])
  const roles = warnings(output, 'outsideObjects')
  expect(roles).toHaveLength(1)
  expect(roles[0]).toContain('"makes roles" made 1 object outside of its database and left: role "guards_kept"')
}

test('vitest: the guilty test fails, or is named, and nobody else', async () => {
  const project = await makeProject('guards-vitest', {
    ...SQL_MIGRATIONS,
    ...CONFIG,
    ...vitestConfig(),
    'guilty.test.js': HEAD + guilty,
    'held.test.js': `${HEAD}${POOL}pool.on('error', () => undefined)
// Waits for each client that was not given back.
afterAll(() => pool.end())
test('keeps a client in a transaction', async () => {
  const client = await pool.connect()
  await client.query('begin')
})
`,
    'retry.test.js': `${HEAD}${POOL}afterAll(() => pool.end())
let tries = 0
test('leaves it at the first try', { retry: 1 }, async () => {
  const client = await pool.connect()
  client.on('error', () => undefined)
  await client.query('begin')
  tries += 1
  if (tries > 1) await client.query('commit')
  client.release()
})
test.fails('fails as it should', async () => {
  await pool.query('select pg_advisory_lock(1)')
  throw new Error('expected')
})
`,
    'pools.test.js': `${HEAD}import knex from 'knex'
const make = () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  pool.on('error', () => undefined)
  return pool
}
test('has two apps', async () => {
  const app = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const other = knex({ client: 'pg', connection: process.env.DATABASE_URL })
  await Promise.all([app.query('select 1'), other.raw('select 1')])
  await Promise.all([app.end(), other.destroy()])
})
for (const n of [1, 2]) test('opens a pool and closes it ' + n, async () => {
  const pool = make()
  await pool.query('select 1')
  await pool.end()
})
const pools = []
test('makes a pool for each request', async () => {
  for (let request = 0; request < 3; request++) pools.push(make())
  await Promise.all(pools.map((pool) => pool.query('select 1')))
})
test('takes a client', async () => {
  const client = await pools[0].connect()
  await client.query('select 17 as taken')
})
test('is over', async () => { await Promise.all(pools.slice(1).map((pool) => pool.end())) })
`,
    'knex.test.js': `${HEAD}import { test as withDb } from 'testdb/vitest/fixtures'
withDb('begins with knex', async ({ db }) => {
  const trx = await db.knex().transaction()
  await trx('notes').insert({ body: 'mine' })
})
withDb('takes a connection', async ({ db }) => {
  const connection = await db.knex().client.acquireConnection()
  await connection.query('select 18 as taken')
})
withDb('is clean', async ({ db }) => {
  expect(await db.knex()('notes')).toEqual([])
})
`,
    'hooks.test.js': `${HEAD}${POOL}let client
beforeAll(async () => {
  client = await pool.connect()
  await client.query('select pg_advisory_lock(7)')
})
afterAll(async () => {
  client.release()
})
test('works under the lock of its file', async () => void (await pool.query('select 1')))
`,
    'env.test.js': `${HEAD}
process.env.DATABASE_URL = process.env.DATABASE_URL.replace(/\\/[^/]*$/, '/template1')
test('is elsewhere', async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  await client.connect()
  await client.end()
})
test('is elsewhere too', () => undefined)
`,
    'unit.test.js': `${HEAD}test('adds', () => expect(1 + 1).toBe(2))\n`,
    'open.test.js': `${HEAD}import { pool } from './engine.js'\ntest('uses it', async () => void (await pool.query('select 1')))\n`,
    'opened.test.js': `${HEAD}import { pool } from './engine.js'\ntest('uses it too', async () => void (await pool.query('select 1')))\n`,
    'engine.js': `import pg from 'pg'\nexport ${POOL}`,
  })
  const { output } = expectExit(await runIn(project, 'vitest', VITEST), 1)
  const results = new Results(project)
  expectErrors(results, output)
  expect(results.of('failed').sort()).toEqual(
    [
      'asks often',
      'begins with knex',
      'fails by itself',
      'keeps a client in a transaction',
      'leaves a lock',
      'leaves a transaction',
    ].sort(),
  )
  expect(results.file('held.test.js')).toBe('')

  expect(results.of('passed', 'retry')).toEqual(['leaves it at the first try', 'fails as it should'])
  expect(output).toContain('advisoryLock: "fails as it should" left 1 advisory lock held')

  expect(results.file('pools.test.js')).toMatch(
    /checkedOutClient: at the end of pools\.test\.js 1 client of a pool had not been given back:\n {2}taken by "takes a client" from the pool of pools\.test\.js:6, last query: select \? as taken/,
  )
  const several = warnings(output, 'severalPools')
  expect(several).toHaveLength(1)
  expect(several[0]).toMatch(
    /when "makes a pool for each request" ended, 3 pools \(pg\.Pool\) that were made at pools\.test\.js:6 were open to testdb_\w+, with 3 connections/,
  )

  expect(results.failure('begins with knex')).toContain('idleInTransaction: "begins with knex" left 1 session idle')
  expect(results.file('knex.test.js')).toMatch(
    /taken by "takes a connection" from the pool of testdb \(`db`\), last query: select \? as taken/,
  )

  expect(results.file('hooks.test.js')).toContain(
    'advisoryLock: the code of hooks.test.js outside of its tests left 1 advisory lock held:\n  lock (7)',
  )

  const [other, ...others] = warnings(output, 'otherServer')
  expect(other).toMatch(
    /"is elsewhere" connected to 127\.0\.0\.1:\d+\/template1 as \w+, another database on the server of this run; its own database is testdb_\w+\n {2}DATABASE_URL was changed from 127\.0\.0\.1:\d+\/testdb_\w+ to 127\.0\.0\.1:\d+\/template1/,
  )
  const [unused, ...unuseds] = warnings(output, 'unusedDatabase')
  expect(unused).toMatch(
    /none of the 2 tests of env\.test\.js connected to their database testdb_\w+\. They connected to 127/,
  )
  expect([...others, ...unuseds]).toEqual([])

  // They go with their processes.
  expect(warnings(output, 'openPool')).toEqual([])
  await expectNothingLeft(project)

  const warn = Object.fromEntries(
    ['idleInTransaction', 'advisoryLock', 'checkedOutClient'].map((guard) => [guard, 'warn']),
  )
  const softly = { ...warn, lateWrite: 'error', outsideObjects: 'off', manyQueries: { max: 15 } }
  const files = ['guilty.test.js', 'pools.test.js']
  const second = await runIn(project, 'vitest', [...VITEST, ...files], { env: { GUARDS: JSON.stringify(softly) } })
  const softer = new Results(project)
  expect(softer.of('failed').sort(), second.output).toEqual(['fails by itself', 'writes late'])
  expect(softer.file('guilty.test.js')).toContain('lateWrite: after "writes after its reset" had ended')
  for (const guard of Object.keys(warn)) expect(warnings(second.output, guard).length, guard).toBeGreaterThan(0)
  expect(softer.file('pools.test.js')).toBe('')
  expect(warnings(second.output, 'outsideObjects')).toEqual([])

  const off = Object.fromEntries(
    [
      'idleInTransaction',
      'advisoryLock',
      'checkedOutClient',
      'lateWrite',
      'severalPools',
      'openPool',
      'outsideObjects',
    ].map((guard) => [guard, 'off']),
  )
  const third = await runIn(project, 'vitest', [...VITEST, ...files], { env: { GUARDS: JSON.stringify(off) } })
  expect(new Results(project).of('failed')).not.toContain('leaves a transaction')
  for (const guard of Object.keys(off)) expect(warnings(third.output, guard), guard).toEqual([])
})

test('jest: the same', async () => {
  const head = "const pg = require('pg')\nconst { onReset } = require('testdb')\n"
  const project = await makeProject('guards-jest', {
    ...SQL_MIGRATIONS,
    ...CONFIG,
    'package.json': { name: 'guards-jest', private: true, jest: { preset: 'testdb' } },
    'guilty.test.js': head + guilty,
    'pools.test.js': `${head}
const make = () => new pg.Pool({ connectionString: process.env.DATABASE_URL })
const pools = []
test('makes a pool for each request', async () => {
  for (let request = 0; request < 3; request++) pools.push(make())
  await Promise.all(pools.map((pool) => pool.query('select 1')))
})
test('takes a client', async () => {
  const client = await pools[0].connect()
  await client.query('select 17 as taken')
})
`,
  })
  const { output } = expectExit(await runIn(project, 'jest', ['--json', '--outputFile=report.json', '--forceExit']), 1)
  const results = new Results(project)
  expectErrors(results, output)
  expect(results.file('pools.test.js')).toMatch(
    /checkedOutClient: at the end of pools\.test\.js 1 client of a pool[\s\S]*taken by "takes a client" from the pool of pools\.test\.js:4/,
  )
  expect(warnings(output, 'severalPools')).toHaveLength(1)
  expect(warnings(output, 'openPool')[0]).toMatch(
    /3 pools \(pg\.Pool\) made at pools\.test\.js:4 .*the process runs further files/,
  )
  await expectNothingLeft(project)
})
