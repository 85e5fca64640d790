/** What does not go together with a schema for each worker is found out at the start, and said with its reason. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDb } from '../../src/create-test-db.ts'
import { functionMigrator } from '../../src/migrators/function.ts'
import { knexMigrator } from '../../src/migrators/knex.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { collect, errorOf } from '../helpers/wait.ts'
import { contentOf, FILES, SchemaLab } from './lab.ts'

let lab: SchemaLab
beforeAll(async () => {
  lab = await SchemaLab.start()
})
afterAll(() => lab?.[Symbol.asyncDispose]())

test('migrations that say public. without the right to: named as such', async () => {
  const place = await lab.place({ ...FILES, 'migrations/003_hard.sql': 'create table public.hard (id int)' })
  const error = await place.run().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'TESTDB_SCHEMA_ESCAPED' })
  expect(String(error)).toContain('003_hard.sql')
  expect(await place.schemas()).toEqual([])
})

test('migrations that make things outside of their schema: all are named, the second time too, and nothing of it is dropped', async () => {
  const place = await lab.place({
    ...FILES,
    'migrations/003_hard.sql': `create table if not exists public.hard (id serial primary key);
       do $$ begin create type public.kind as enum ('a'); exception when duplicate_object then null; end $$;
       create schema if not exists audit; create table if not exists audit.log (id int);
       create or replace function public.one() returns int language sql as 'select 1'`,
  })
  await place.observer.query('grant create on schema public to public')
  const expected = ['table public.hard', 'type public.kind', 'schema audit', 'table audit.log', 'function public.one()']
  for (let round = 0; round < 2; round++) {
    const error = await place.run(2).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'TESTDB_SCHEMA_ESCAPED' })
    for (const name of expected) expect(String(error)).toContain(name.replace('public.', ''))
    expect(await place.schemas()).toEqual([])
  }
  expect(await place.ask(`select from pg_tables where tablename in ('hard', 'log')`)).toHaveLength(2)
  await place.observer.query(
    'drop table public.hard; drop schema audit cascade; drop type public.kind; drop function public.one()',
  )
  place.project.write({ 'migrations/003_hard.sql': 'create table hard (id int)' })
  await place.run()
})

test('what one project has left outside is not held against another one', async () => {
  const hard = { ...FILES, 'migrations/003_hard.sql': 'create table if not exists public.hard (id int)' }
  const place = await lab.place(hard)
  await place.observer.query('grant create on schema public to public')
  expect(await errorOf(place.run())).toMatchObject({ code: 'TESTDB_SCHEMA_ESCAPED' })
  using innocent = projectFolder({ ...FILES, 'package.json': '{"name":"innocent"}' })
  await place.run(1, {}, innocent)
  expect(await errorOf(place.run())).toMatchObject({ code: 'TESTDB_SCHEMA_ESCAPED' })
})

test('an extension that a migration creates in its schema is refused; one of the configuration is there for all', async () => {
  const place = await lab.place({
    ...FILES,
    'migrations/000_extension.sql': 'create extension if not exists citext',
    'migrations/003_citext.sql': 'create table mails (address citext primary key)',
  })
  const error = await place.run().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'TESTDB_SCHEMA_ESCAPED' })
  expect(String(error)).toContain('extension citext')
  expect(await place.ask(`select from pg_extension where extname = 'citext'`)).toEqual([])
  const run = await place.run(2, { extensions: ['citext'] })
  for (const slot of ['1', '2']) {
    const db = await place.acquire(run, slot)
    await db.query(`insert into mails values ('A@b')`)
    expect((await db.query(`select from mails where address = 'a@B'`)).rows).toHaveLength(1)
    await db.reset()
    expect((await db.query('select from mails')).rows).toEqual([])
    await db.release()
  }
})

test('a role that may not create schemas is told what it needs', async () => {
  const place = await lab.place()
  await place.observer.query(`revoke create on database ${place.target.database} from ${place.target.user}`)
  const error = await errorOf(place.run())
  expect(error).toMatchObject({ code: 'TESTDB_RIGHTS_MISSING' })
  expect(error.message).toMatch(/may not create (?:schemas|the schema of the registry) in/)
})

test('Knex: its own tables lie in the schema, also where the knexfile names another one', async () => {
  const place = await lab.place({
    'package.json': '{"name":"shop"}',
    'knexfile.cjs': `module.exports = { client: 'pg', searchPath: ['public'], migrations: { directory: 'migrations', schemaName: 'public' }, seeds: { directory: 'seeds' } }`,
    'migrations/001_users.cjs': `exports.up = (knex) => knex.schema.createTable('users', (t) => { t.increments(); t.text('name') })
exports.down = () => undefined`,
    'seeds/users.cjs': `exports.seed = (knex) => knex('users').insert({ name: 'seeded' })`,
  })
  const run = await place.run(2, { migrator: knexMigrator() })
  const tables = await place.ask<{ schemaname: string; tables: string[] }>(
    `select schemaname, array_agg(tablename::text order by tablename) as tables from pg_tables
      where schemaname like 'testdb\\_%' and schemaname not like '%copy' group by 1 order by 1`,
  )
  const names = ['knex_migrations', 'knex_migrations_lock', 'users']
  expect(tables).toEqual(['testdb_shop_1', 'testdb_shop_2'].map((schemaname) => ({ schemaname, tables: names })))
  const db = await place.acquire(run)
  const knex = db.knex()
  await knex('users').insert({ name: 'x' })
  await db.reset()
  expect(await knex('users').select()).toEqual([{ id: 1, name: 'seeded' }])
  expect(await knex('knex_migrations')).toHaveLength(1)
  await db.release()
})

test('a migration that fails leaves no schema behind, and the next run tries again', async () => {
  const place = await lab.place({ ...FILES, 'migrations/003_bad.sql': 'select 1 / 0' })
  await expect(place.run(2)).rejects.toMatchObject({ code: 'TESTDB_MIGRATION_FAILED' })
  expect(await place.schemas()).toEqual([])
  expect(await place.records()).toEqual([])
  place.project.write({ 'migrations/003_bad.sql': 'select 1' })
  await place.run(2)
})

test('a schema that could not be migrated anew is an error with its reason for the worker that waits', async () => {
  let times = 0
  const migrator = functionMigrator({
    hash: 'v1',
    migrate: async ({ query }) => {
      if (++times > 1) throw new Error('only once')
      await query('create table users (id int)')
    },
  })
  const place = await lab.place(FILES, { migrator })
  const run = await place.run()
  const db = await place.acquire(run)
  await db.query('drop table users')
  await expect(db.lease?.replace()).rejects.toMatchObject({ code: 'TESTDB_MIGRATION_FAILED' })
  await expect(db.reset()).rejects.toMatchObject({ code: 'TESTDB_LEASE_LOST' })
  await db.release()
})

test('tables of other people that refer to ours are neither emptied nor cut off', async () => {
  const place = await lab.place()
  const first = await place.run()
  const db = await place.acquire(first)
  const schema = db.lease?.name
  await place.observer.batch(`create table public.fans (user_id int references ${schema}.users);
    insert into public.fans values (1)`)
  using warnings = collect('warning.raised')
  await db.query(`update users set name = 'x'`)
  const error = await db.reset().catch((thrown: unknown) => thrown)
  expect(String(error)).toContain('fans_user_id_fkey on table fans')
  expect(await place.ask('select * from public.fans')).toEqual([{ user_id: 1 }])
  expect(warnings.events.length).toBeGreaterThan(0)
  await db.release().catch(() => undefined)
})

test('createTestDb leases several', async () => {
  const place = await lab.place({ ...FILES, 'testdb.config.mjs': 'export default {}' })
  const cwd = process.cwd()
  process.chdir(place.project.root)
  try {
    await using testdb = await createTestDb(place.options)
    await using a = await testdb.acquire()
    await using b = await testdb.acquire()
    await a.query(`insert into users (name) values ('a')`)
    expect(await contentOf(b as never)).toMatchObject({ users: [{ name: 'Ada' }, { name: 'Grace' }] })
    expect(a.url).not.toBe(b.url)
  } finally {
    process.chdir(cwd)
  }
})
