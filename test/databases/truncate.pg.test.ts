import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lease } from '../../src/databases/lease.ts'
import { truncateReset } from '../../src/databases/reset/truncate.ts'
import { removeDatabase, Session } from '../../src/postgres/index.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { type TemplateOptions, type TestRun, World } from '../helpers/world.ts'
import { everything, WRITES } from './everything.ts'

let world: World
let run: TestRun
beforeAll(async () => {
  world = await World.create()
  run = await world.run()
})
afterAll(async () => {
  await run.end()
  await world.close()
})

async function lend(
  options: TemplateOptions,
): Promise<{ lease: Lease; admin: () => Promise<Session>; role: () => Promise<Session> }> {
  const template = await world.template({ ...options, reset: 'truncate' }, run)
  const lease = await world.acquire(world.context(run, template, { reset: 'truncate' }))
  return { lease, admin: () => world.connect(lease.name), role: () => world.connect(lease.name, 'role') }
}

/** The one database of the table below: each row must leave it as it was for the next one. */
let lent: Awaited<ReturnType<typeof lend>>
let original: Awaited<ReturnType<typeof snapshotDatabase>>
beforeAll(async () => {
  lent = await lend(everything)
  await using session = await lent.admin()
  original = await snapshotDatabase(session)
  expect(Object.keys(original.tables).length).toBeGreaterThan(20)
})

test.each(WRITES)('puts back: %s', async (_what, sql) => {
  using warnings = collect('warning.raised')
  await using session = await lent.admin()
  await session.query(sql)
  await session.query('reset session_replication_role')
  const { oid } =
    (await session.query<{ oid: number }>('select oid from pg_database where datname = current_database()')).rows[0] ??
    {}
  await lent.lease.reset()
  expect(await snapshotDatabase(session)).toEqual(original)
  // By the function, and not by a clone.
  expect(warnings.events).toEqual([])
  expect((await session.query('select oid from pg_database where datname = current_database()')).rows).toEqual([
    { oid },
  ])
})

test('what comes next after a reset is what came first', async () => {
  await using session = await lent.role()
  const first = async (): Promise<unknown> => {
    const { rows } = await session.query(
      `with u as (insert into users (name) values ('x') returning id), p as (insert into posts (title) values ('x') returning id),
            n as (insert into app.numbered default values returning id)
       select u.id as user, p.id as post, n.id as number, nextval('app.free_set')::int as free from u, p, n`,
    )
    await lent.lease.reset()
    return rows
  }
  expect(await first()).toEqual([{ user: 21, post: 6, number: 500, free: 40 }])
  expect(await first()).toEqual([{ user: 21, post: 6, number: 500, free: 40 }])
})

test('the tables of migration tools and extensions are left alone', async () => {
  const { lease, admin } = await lend({
    sql: `create table migrations (id serial, name text); insert into migrations (name) values ('001');
          create schema tool; create table tool.migrations (n int); create table tool.lock (n int); create table lock (n int); create table users (n int)`,
    bookkeeping: [{ table: 'migrations' }, { schema: 'tool', table: 'lock' }],
    // An extension that keeps rows of its own, as PostGIS does: any extension can be given a table.
    admin: `create extension pg_trgm; create table known (n int); insert into known values (1); alter extension pg_trgm add table known`,
  })
  await using session = await admin()
  await session.query(`insert into migrations (name) values ('002'); insert into tool.migrations values (1); insert into tool.lock values (1);
    insert into lock values (1); insert into users values (1); insert into known values (2)`)
  await lease.reset()
  const { rows } = await session.query(
    `select (select count(*)::int from migrations) as a, (select count(*)::int from tool.migrations) as b, (select count(*)::int from tool.lock) as c,
            (select count(*)::int from lock) as d, (select count(*)::int from users) as e, (select count(*)::int from known) as f`,
  )
  expect(rows).toEqual([{ a: 2, b: 1, c: 1, d: 0, e: 0, f: 2 }])
})

test.each<[what: string, sql: string, before: string]>([
  ['a seeded table was dropped', 'drop table alone', ''],
  ['a seeded table was dropped and made again', 'drop table alone; create table alone (n int)', ''],
  ['a column of a seeded table was dropped', 'delete from t; alter table t drop column m', ''],
  ['a materialized view was dropped', 'drop materialized view v', ''],
  ['an old materialized view was refreshed', 'refresh materialized view v', 'insert into t values (5)'],
  [
    'an old materialized view was refreshed concurrently',
    'refresh materialized view concurrently u',
    'insert into t values (5)',
  ],
  ['a sequence was dropped', 'drop sequence s', ''],
  [
    'a table that must be kept refers to one that is emptied',
    'insert into refers values (1); insert into other values (2)',
    '',
  ],
])('%s: the database is replaced by a clone, and it is said', async (_what, sql, before) => {
  const { lease, admin } = await lend({
    sql: `create table t (n int unique, m int); create sequence s; create table other (n int primary key); create table refers (n int references other);
          create table alone (n int)`,
    seed: `insert into alone values (1); insert into t values (1, 1); insert into other values (1); create materialized view v as select n from t;
           create materialized view u as select n from t; create unique index on u (n); ${before}`,
    bookkeeping: [{ table: 'refers' }],
  })
  const first = await admin()
  const expected = await snapshotDatabase(first)
  await first.query(sql)
  using warnings = collect('warning.raised')
  await lease.reset()
  expect(warnings.events).toEqual([{ message: expect.stringContaining(`reset of ${lease.name} by truncate failed`) }])
  await eventually('the other sessions are ended', () => first.lost.aborted)
  await using second = await admin()
  expect(await snapshotDatabase(second)).toEqual(expected)
  // The next one is an ordinary one.
  await second.query('insert into t values (7)')
  await lease.reset()
  expect(await snapshotDatabase(second)).toEqual(expected)
  expect(warnings.events).toHaveLength(1)
})

test('an old materialized view that nobody refreshed stays old', async () => {
  const { lease, admin } = await lend({
    sql: 'create table t (n int)',
    seed: 'create materialized view v as select n from t; create unique index on v (n); insert into t values (1)',
  })
  await using session = await admin()
  await session.query('insert into t values (2)')
  await lease.reset()
  expect((await session.query('select from v')).rowCount).toBe(0)
})

test('a transaction that nobody ended is ended, with its name and statement', async () => {
  await using bystander = await lent.role()
  const forgotten = await lent.role()
  await forgotten.query('begin')
  await forgotten.query(`insert into users (name) values ('forgotten')`)
  using warnings = collect('warning.raised')
  const startedAt = performance.now()
  await lent.lease.reset()
  expect(performance.now() - startedAt).toBeLessThan(5_000)
  expect(warnings.events).toHaveLength(1)
  expect(warnings.events[0]?.message).toContain(`pid ${forgotten.backendPid}`)
  expect(warnings.events[0]?.message).toContain(`insert into users (name) values ('forgotten')`)
  expect(warnings.events[0]?.message).toContain(lent.lease.name)
  await eventually('it is ended', () => forgotten.lost.aborted)
  expect(bystander.lost.aborted).toBe(false)
  await using session = await lent.admin()
  expect(await snapshotDatabase(session)).toEqual(original)
})

test('a transaction that only reads is no obstacle', async () => {
  await using reader = await lent.role()
  await reader.query('begin isolation level repeatable read')
  await reader.query('select 1')
  await using writer = await lent.role()
  await writer.query(`insert into users (name) values ('x')`)
  using warnings = collect('warning.raised')
  await lent.lease.reset()
  expect(warnings.events).toEqual([])
  expect(reader.lost.aborted).toBe(false)
})

test('a role that may not act as a replica resets exactly, and its triggers are silent too', async () => {
  const plain = `plain_${world.project}`
  const database = `plain_${world.project}_db`
  await world.session.query(`create role ${plain} login`)
  await world.session.query(`create database ${database} owner ${plain} template template0`)
  try {
    await using session = await Session.open({ ...world.admin, user: plain, database }, { applicationName: 'test' })
    await session.query(`create schema testdb; create table audit (n int); create table t (n int primary key);
      create table child (n int references t);
      create function note() returns trigger language plpgsql as $$ begin insert into audit values (1); return null; end $$;
      create trigger usual after insert or truncate on t execute function note();
      insert into t values (1); delete from audit; insert into child values (1)`)
    await session.query(truncateReset.sql)
    await truncateReset.install?.(session, { bookkeeping: [] })
    const replace = (): Promise<never> => Promise.reject(new Error('replaced'))
    const before = await snapshotDatabase(session)
    for (const sql of [
      'insert into t values (2); insert into child values (2)',
      'update t set n = n',
      'truncate t cascade',
    ]) {
      await session.query(sql)
      await truncateReset.reset(
        { name: database, session, replace, outdate: replace, endWork: replace },
        { after: undefined },
      )
      expect(await snapshotDatabase(session)).toEqual(before)
    }
  } finally {
    await removeDatabase(world.session, database)
    await world.session.query(`drop role ${plain}`)
  }
})
