/** A connection beyond the limit of a database: the test that asked for it gets one explanation, and nobody else is disturbed. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, type Outcome, type Project, runIn } from './project.ts'

/** A limit of 2 × 3 + 4: nine for the test, and the session of the lease. */
const CONFIG: Files = { 'testdb.config.mjs': 'export default { pool: { max: 3 } }\n' }

const WARN: Files = {
  'testdb.config.mjs': "export default { pool: { max: 3 }, guards: { connectionLimit: 'warn' } }\n",
}

const helpers = `
const open = async (count) => {
  const clients = []
  for (let n = 0; n < count; n++) {
    const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
    client.on('error', () => undefined)
    await client.connect().then(() => clients.push(client), () => undefined)
  }
  return clients
}
const close = (clients) => Promise.all(clients.map((client) => client.end()))
`
const offender = (count: number): string => `
const innocent = (name) => test(name, async () => {
  const clients = await open(2)
  const { rows } = await clients[1].query('select count(*)::int as n from teams')
  expect(rows).toEqual([{ n: 2 }])
  await close(clients)
})

innocent('innocent before')
test('creates ${count} clients', async () => {
  const clients = await open(${count})
  note({ open: clients.length })
  await close(clients)
}, 60_000)
innocent('innocent between')
test('has three pools', async () => {
  const pools = [5, 5, 5].map((max) => new pg.Pool({ connectionString: process.env.DATABASE_URL, application_name: 'mine', max }))
  for (const pool of pools) pool.on('error', () => undefined)
  try {
    for (const pool of pools) await pool.query('select 1 as one')
    const clients = []
    for (let n = 0; n < 12; n++) clients.push(await pools[n % 3].connect())
  } finally {
    for (const pool of pools) for (const client of pool._clients) client.release?.()
    await Promise.all(pools.map((pool) => pool.end()))
  }
})
describe('a block', () => {
  beforeAll(async () => close(await open(12)))
  innocent('innocent in a block')
})
`
const quiet = `
for (const n of [1, 2]) test('quiet ' + n, async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  await client.connect()
  await client.query("insert into teams (name) values ('mine')")
  await client.end()
})
`

function expectExplained({ output }: Outcome, project: Project, count: number, others: readonly string[] = []): void {
  const creates = `"creates ${count} clients"`
  const explanations = output.split('testdb: TESTDB_CONNECTION_REFUSED: ').slice(1)
  const about = (start: string): string => explanations.find((text) => text.startsWith(start)) ?? `none in ${output}`
  const told = explanations.map((text) => text.slice(0, text.indexOf(' was refused')))
  const outside = 'the code of offender.test.js outside of its tests'
  expect(told.sort()).toEqual([creates, '"has three pools"', outside, ...others].sort())
  expect(about(creates)).toMatch(
    new RegExp(
      [
        `^${creates} was refused a connection: too many connections for database "testdb_\\w+"`,
        '  limit 10 connections \\(pool\\.max 3, twice that plus 4\\), 10 in use:',
        '    9 × "" \\(not made by testdb\\).*',
        `    1 × "testdb lease:${project.name}" \\(testdb's own\\)`,
        '  No pool of pg or Knex in this process .*',
      ].join('\n'),
    ),
  )
  expect(about('"has three pools"')).toMatch(
    /10 in use:\n {4}9 × "mine" \(not made by testdb\).*last query: select \? as one/,
  )
  expect(about('"has three pools"')).toContain('This process has 3 pools open to this database.')
  expect(project.notes()).toEqual([{ open: 9 }])
}

const LOADED = 'the code of load.test.js outside of its tests'
const whileLoaded = `
await close(await open(12))
test('later', () => undefined)
`

test('vitest: one explanation for each test that was refused a connection, which fails nothing as a warning', async () => {
  const head =
    "import pg from 'pg'\nimport { beforeAll, describe, expect, test } from 'vitest'\nimport { note } from './note.js'\n"
  const project = await makeProject('refused-vitest', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    ...WARN,
    'offender.test.js': head + helpers + offender(300),
    'load.test.js': head + helpers + whileLoaded,
    'a.test.js': head + quiet,
    'b.test.js': head + quiet,
  })
  const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)
  expect(outcome.output).toMatch(/Tests {2}1 failed \| 9 passed \(10\)/)
  expectExplained(outcome, project, 300, [LOADED])
  await expectNothingLeft(project)
})

test('jest: the test that was refused a connection fails with the explanation, and nobody else', async () => {
  const head = "const pg = require('pg')\nconst { note } = require('./note.js')\n"
  const project = await makeProject('refused-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    ...CONFIG,
    'package.json': { name: 'refused-jest', private: true, jest: { preset: 'testdb' } },
    'offender.test.js': head + helpers + offender(40),
    'a.test.js': head + quiet,
    'b.test.js': head + quiet,
  })
  const { output } = expectExit(await runIn(project, 'jest', []), 1)
  expect(output).toMatch(/Tests: +2 failed, 7 passed, 9 total/)
  const told = [...output.matchAll(/(\S+) TESTDB_CONNECTION_REFUSED: (.*) was refused a connection/g)]
  expect(told.map(([, by, who]) => [by, who]).sort()).toEqual([
    ['TestDbError:', '"creates 40 clients"'],
    ['TestDbError:', 'the code of offender.test.js outside of its tests'],
    // It has failed by itself, with what the driver says.
    ['testdb:', '"has three pools"'],
  ])
  expect(output).toMatch(
    /● creates 40 clients\s+TESTDB_CONNECTION_REFUSED|● creates 40 clients\s+TestDbError: TESTDB_CONNECTION_REFUSED/,
  )
  expect(output).toMatch(/limit 10 connections \(pool\.max 3, twice that plus 4\), 10 in use:/)
  expect(project.notes()).toEqual([{ open: 9 }])
  await expectNothingLeft(project)
})
