import { expect, test } from 'vitest'
import { explainRefusal, type RefusedConnection } from '../../src/guards/connection-limit.ts'
import type { Holder } from '../../src/postgres/index.ts'

const holder = (applicationName: string, connections: number, more: Partial<Holder> = {}): Holder => ({
  ...{ database: 'testdb_shop_3', applicationName, connections, idleSeconds: null, query: null, limit: 24 },
  ...more,
})
const HOLDERS = [
  holder('', 17, { idleSeconds: 3.2, query: 'select\n  1' }),
  holder('testdb:shop:1', 6, { query: 'insert into users default values' }),
  holder('testdb lease:shop', 1, { query: 'select testdb.secret()', idleSeconds: 9 }),
]
const OTHERS = [
  holder('api', 70, { database: 'api', limit: -1 }),
  holder('', 2, { database: 'testdb_shop_31', limit: 10 }),
]
const refusal = {
  sqlstate: '53300',
  message: 'too many connections for database "testdb_shop_3"',
  routine: 'CheckMyDatabase',
}
const explain = (more: Partial<RefusedConnection> = {}): string =>
  explainRefusal({
    ...{ who: '"creates 300 clients"', refusal, database: 'testdb_shop_3', poolMax: 10, pools: 0 },
    census: { holders: [...HOLDERS, ...OTHERS], serverLimit: 97 },
    ...more,
  }).message

test('who holds the connections of the database, which are not of testdb, the limit, and how to get out', () => {
  expect(
    explain({ pools: 3 }),
  ).toBe(`TESTDB_CONNECTION_REFUSED: "creates 300 clients" was refused a connection: too many connections for database "testdb_shop_3"
  limit 24 connections (pool.max 10, twice that plus 4), 24 in use:
    17 × "" (not made by testdb), oldest idle for 3 s, last query: select ?
     6 × "testdb:shop:1" (db.pool, db.knex() or db.connection), last query: insert into users default values
     1 × "testdb lease:shop" (testdb's own)
  This process has 3 pools open to this database.
All connections that there may be are open, so whoever asks for one more gets an error instead.
  1. Use one pool for all that runs in a process: make it in one module, or take \`db.pool\`.
  2. Close what the test opens: \`await client.end()\`, \`await pool.end()\` in the test or in \`afterAll\`.
  3. Set \`pool: { max }\` in testdb.config.ts if the code needs more: a database takes twice that plus 4.
  4. Run \`npx testdb status\` while the test runs to see who is connected.`)
})

test('pools are counted, and their lack is told', () => {
  expect(explain({ pools: 1 })).toContain('\n  This process has 1 pool open to this database.\n')
  expect(explain()).toContain('\n  No pool of pg or Knex in this process is connected to it:')
  expect(explain()).toContain('1. Close what the test opens')
})

test('the limit is explained only where it is the one of the configuration', () => {
  expect(explain({ poolMax: 7 })).toContain('\n  limit 24 connections, 24 in use:')
})

test('the database is known in every language of the server, and is the one of the message', () => {
  const french = { ...refusal, message: 'trop de connexions pour la base de données « testdb_shop_31 »' }
  const text = explain({ refusal: french })
  expect(text).toContain('\n  limit 10 connections, 2 in use:\n    2 × ""')
  expect(text).not.toContain('pool of pg')
  expect(text).not.toContain('api')
})

test.each([
  ['sorry, too many clients already', 'ProcArrayAdd'],
  ['remaining connection slots are reserved for roles with the SUPERUSER attribute', 'InitPostgres'],
])('%s: the holders of the whole server by database', (message, routine) => {
  const text = explain({ refusal: { sqlstate: '53300', message, routine }, pools: 2 })
  expect(text).toContain(
    '\n  the server has 97 connections for everybody together, 96 in use:\n    17 × testdb_shop_3: ""',
  )
  expect(text).toContain('\n    70 × api: "api" (not made by testdb)')
  expect(text).toContain('2. Run fewer workers at once, or raise `max_connections` of the server.')
})

test('the limit of a role is told as such', () => {
  const message = 'too many connections for role "app"'
  expect(explain({ refusal: { sqlstate: '53300', message, routine: 'InitializeSessionUserId' } })).toContain(
    'the role has a limit of its own',
  )
})

test('a server with many is cut short', () => {
  const many = Array.from({ length: 20 }, (_, n) => holder(`app ${n}`, 2))
  const text = explain({ census: { holders: many, serverLimit: 97 } })
  expect(text).toContain('"app 11"')
  expect(text).not.toContain('"app 12"')
  expect(text).toContain('\n    16 more with 8 other names\n')
})

test('a server that could not be asked is no reason to say nothing', () => {
  expect(explain({ census: undefined })).toMatch(
    /^TESTDB_CONNECTION_REFUSED: .*\n {2}who holds them could not be asked\n/,
  )
})

test('a statement with a password is not shown, and a long one is cut', () => {
  const asked = (query: string): string =>
    explain({ census: { holders: [holder('', 24, { query })], serverLimit: 97 } })
  expect(asked(`alter role app password 'geheim'`)).not.toContain('geheim')
  expect(asked(`select 'postgres://bob:geheim@host/db', ${'x'.repeat(300)}`)).toMatch(
    /last query: select \?, x{190}…\n/,
  )
})
