import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lease } from '../../src/databases/lease.ts'
import type { Session } from '../../src/postgres/index.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect } from '../helpers/wait.ts'
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
  const template = await world.template({ ...options, reset: 'rows' }, run)
  const lease = await world.acquire(world.context(run, template, { reset: 'rows' }))
  return { lease, admin: () => world.connect(lease.name), role: () => world.connect(lease.name, 'role') }
}

/** The one database of the tables below: each row must leave it as it was for the next one. */
let lent: Awaited<ReturnType<typeof lend>>
let original: Awaited<ReturnType<typeof snapshotDatabase>>
beforeAll(async () => {
  lent = await lend(everything)
  await using session = await lent.admin()
  original = await snapshotDatabase(session)
  expect(Object.keys(original.tables).length).toBeGreaterThan(20)
})

const oidOf = async (session: Session): Promise<unknown> =>
  (await session.query('select oid from pg_database where datname = current_database()')).rows

/** What a test may also do here, because `rows` undoes it in place. */
const FURTHER: [what: string, sql: string][] = [
  ['an upsert', `insert into users (id, name) values (1, 'x') on conflict (id) do update set name = excluded.name`],
  ['what migration tools write', `insert into migrations (name) values ('002')`],
  ['a large object', `select lo_from_bytea(0, 'x')`],
  [
    'a table',
    'create table made (id serial primary key, user_id int references users); insert into made default values',
  ],
  ['a table of another name', 'create table made (); alter table made rename to renamed'],
  ['a table that is dropped again', 'create table made (); drop table made'],
  ['a table from a query', 'create table made as select * from users; select * into made_too from users'],
  [
    'a partition',
    `create table parts_3 partition of parts for values from ('2030-01-01') to ('2031-01-01'); insert into parts values (1, '2030-05-05')`,
  ],
  ['an heir', `create table dogs () inherits (animals); insert into dogs values ('rex')`],
  [
    'a view with a rule',
    'create view seen as select * from users; create rule r as on insert to seen do instead nothing',
  ],
  ['a materialized view', 'create materialized view made as select * from users'],
  ['an index', 'create index made on users (name)'],
  [
    'functions',
    `create function f() returns int language sql as 'select 1'; create function f(int) returns int language sql as 'select 1'; create procedure p() language sql as 'select 1'`,
  ],
  ['a trigger', 'create trigger made after insert on users execute function note()'],
  [
    'types',
    `create type mood as enum ('ok'); create type pair as (a int, b int); create domain small as int check (value < 9)`,
  ],
  [
    'a schema with things in it',
    'create schema made; create table made.t (id serial); create view made.v as select * from made.t',
  ],
  ['an extension', 'create extension citext'],
  ['a policy', 'create policy made on users using (true)'],
  ['a sequence', `create sequence made; select nextval('made')`],
  [
    'temporary objects',
    'create temp table t (id serial primary key); create temp view v as select 1; create index on t (id)',
  ],
  ['a foreign data wrapper', 'create foreign data wrapper made; create server made foreign data wrapper made'],
  [
    'an operator and statistics',
    `create operator === (leftarg = int, rightarg = int, function = int4eq); create statistics made on id, name from users`,
  ],
  ['analyze and vacuum', `insert into users (name) values ('x'); analyze; vacuum users`],
  ['nothing that exists', 'create table if not exists users (id int); drop table if exists nowhere'],
]

test.each([...WRITES, ...FURTHER])('puts back: %s', async (_what, sql) => {
  using warnings = collect('warning.raised')
  // Idle ones do not disturb, and they keep a replacement away that would hide a fault.
  await using session = await lent.admin()
  for (const statement of sql.startsWith('do ') || sql.startsWith('begin') ? [sql] : sql.split('; '))
    await session.query(statement)
  await session.query('reset session_replication_role')
  const oid = await oidOf(session)
  await lent.lease.reset()
  expect(await snapshotDatabase(session)).toEqual(original)
  // By the function, and not by a clone.
  expect(warnings.events).toEqual([])
  expect(await oidOf(session)).toEqual(oid)
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

test.each([
  [
    'a table',
    `create table made (id serial primary key, u int references users); insert into made (u) values (1)`,
    `insert into made (u) values (2); update made set u = null where id = 1`,
  ],
  [
    'a partition',
    `create table parts_3 partition of parts for values from ('2030-01-01') to ('2031-01-01'); insert into parts values (1, '2030-05-05')`,
    'delete from parts',
  ],
  [
    'a sequence, a view, a function and a type',
    `create sequence made; select nextval('made'); create view seen as select 1 as n; create type mood as enum ('a'); create function f() returns int language sql as 'select 1'`,
    `select nextval('made')`,
  ],
  [
    'a materialized view',
    `create materialized view made as select count(*) from users`,
    `insert into users (name) values ('x'); refresh materialized view made`,
  ],
  [
    'rows and sequences',
    `update users set score = 7; insert into posts (user_id) values (1); select setval('app.empty_id_seq', 77, false)`,
    `truncate users cascade; select setval('app.empty_id_seq', 5, false)`,
  ],
])('a checkpoint keeps what was made before it: %s', async (_what, before, later) => {
  using warnings = collect('warning.raised')
  await using session = await lent.admin()
  await session.query(before)
  const level = await lent.lease.checkpoint()
  const kept = await snapshotDatabase(session)
  expect(kept).not.toEqual(original)
  for (const _round of [1, 2]) {
    await session.query(later)
    await lent.lease.reset()
    expect(await snapshotDatabase(session)).toEqual(kept)
  }
  expect(level).toBe(1)
  await lent.lease.rewind(0)
  expect(await snapshotDatabase(session)).toEqual(original)
  expect(warnings.events).toEqual([])
})

test('checkpoints lie on each other, and nothing new makes none', async () => {
  using warnings = collect('warning.raised')
  await using session = await lent.admin()
  const states: unknown[] = []
  for (const name of ['one', 'two', 'three']) {
    await session.query(`insert into users (name) values ('${name}'); delete from users where id = 20; truncate flags`)
    states.push(await snapshotDatabase(session))
    expect(await lent.lease.checkpoint()).toBe(states.length)
    expect(await lent.lease.checkpoint()).toBe(states.length)
  }
  for (const level of [3, 2, 1]) {
    await session.query(`delete from users; select nextval('app.free')`)
    await lent.lease.rewind(level)
    expect(warnings.events).toEqual([])
    expect(await snapshotDatabase(session)).toEqual(states[level - 1])
  }
  await lent.lease.rewind(0)
  expect(await snapshotDatabase(session)).toEqual(original)
})

test('a changed table can not be kept by a checkpoint', async () => {
  const { lease, admin } = await lend({ sql: 'create table t (n int); insert into t values (1)' })
  await using session = await admin()
  await session.query('alter table t add column m int; insert into t values (2)')
  await expect(lease.checkpoint()).rejects.toMatchObject({
    code: 'TESTDB_CHECKPOINT_FAILED',
    what: `no checkpoint of ${lease.name}: the schema was changed: ALTER TABLE public.t`,
  })
  await lease.reset()
  expect((await session.query('select n from t')).rows).toEqual([{ n: 1 }])
})

const SECRETS = `create table secrets (n int); insert into secrets values (1), (2); create materialized view seen as select * from secrets`
const FORCE = `alter table secrets enable row level security, force row level security; create policy one on secrets using (n = 1)`

test.each([
  [
    'a new table with an identity column',
    'create table t (n int)',
    'create schema made; create table made.t (id int generated always as identity); insert into made.t default values',
  ],
  [
    'a new partition of a table that foreign keys reference',
    `create table p (id int primary key) partition by list (id); create table p_1 partition of p for values in (1); insert into p values (1);
     create table t (id int references p); insert into t values (1)`,
    'create table p_2 partition of p for values in (2); insert into p values (2); insert into t values (2)',
  ],
  [
    'a rule that is also for replicas',
    `create table t (id int, n int); create table log (what text); insert into t values (1, 1);
     create rule noted as on insert to t do also insert into log values ('x'); alter table t enable always rule noted`,
    'update t set n = 2; select 1',
  ],
  [
    'a materialized view of a table that forces row level security',
    `${SECRETS}; ${FORCE}; refresh materialized view seen`,
    'insert into secrets values (1); refresh materialized view seen',
  ],
])('puts back in place: %s', async (_what, sql, work) => {
  using warnings = collect('warning.raised')
  const { lease, admin } = await lend({ sql })
  await using session = await admin()
  const before = await snapshotDatabase(session)
  for (const statement of work.split('; ')) await session.query(statement)
  await lease.reset()
  // Switching a rule off and on makes it a newer one, and nothing else.
  const withoutRules = ({ objects, ...rest }: typeof before): unknown => ({
    ...rest,
    objects: objects.filter((object) => !object.startsWith('rule ')),
  })
  expect(withoutRules(await snapshotDatabase(session))).toEqual(withoutRules(before))
  expect((await session.query(`select from pg_rewrite where rulename = 'noted' and ev_enabled <> 'A'`)).rows).toEqual(
    [],
  )
  expect(warnings.events).toEqual([])
})

test('a materialized view with more rows than its owner may see by now has them again', async () => {
  using warnings = collect('warning.raised')
  const { lease, role } = await lend({ sql: `${SECRETS}; ${FORCE}` })
  await using session = await role()
  await session.query('refresh materialized view seen')
  await lease.reset()
  expect(warnings.events).toEqual([])
  expect((await session.query('select n from seen order by n')).rows).toEqual([{ n: 1 }, { n: 2 }])
})

test('a table that was large at a checkpoint has its keys noted no longer than that', async () => {
  const { lease, admin } = await lend({ sql: 'create table t (id int primary key)' })
  await using session = await admin()
  const before = await snapshotDatabase(session)
  const tracking = async (): Promise<number> => {
    const { rows } = await session.query(
      `select relname from pg_class where relkind = 'r' and relname ~ '^keys_' union all select proname from pg_proc where proname ~ '^note_keys'`,
    )
    return rows.length
  }
  for (const table of ['t', 'made']) {
    await session.query('create table if not exists made (id int primary key)')
    await session.query(`insert into ${table} select generate_series(1, 5001)`)
    await lease.checkpoint()
    expect(await tracking()).toBe(2)
    await lease.rewind(0)
    expect(await tracking()).toBe(0)
    expect(await snapshotDatabase(session)).toEqual(before)
  }
})

test('a small table keeps the order of its rows, and a row that is only added costs the others nothing', async () => {
  const { lease, role } = await lend({
    sql: `create table t (id int primary key, n int, payload text); create table keyless (n int);
      insert into t select i, i, 'a' from generate_series(50, 1, -1) i; insert into t select i, i, 'b' from generate_series(51, 100) i;
      insert into keyless select i % 3 from generate_series(1, 20) i`,
  })
  await using session = await role()
  const rows = async (): Promise<unknown> => [
    (await session.query('select * from t')).rows,
    (await session.query('select * from keyless')).rows,
  ]
  const before = await rows()
  for (const work of [
    'update t set n = n',
    'delete from t where id = 7; update keyless set n = 1 where n = 0',
    `delete from t where id < 20; insert into t select i, i, 'a' from generate_series(1, 19) i`,
    'truncate t, keyless; insert into keyless values (1)',
    'begin; delete from t; delete from keyless; rollback',
    'vacuum full t',
    'vacuum (freeze) t',
    'insert into keyless select n from keyless',
    'update t set id = id + 1000',
  ]) {
    for (const statement of work.split('; ')) await session.query(statement)
    await lease.reset()
    expect(await rows(), work).toEqual(before)
  }
  // Space that became free must not be filled in another order.
  for (let round = 0; round < 60; round++) {
    await session.query('update t set n = 0; delete from keyless')
    await lease.reset()
  }
  expect(await rows(), 'many resets').toEqual(before)
  const { rows: size } = await session.query(`select pg_relation_size('t') / 8192 < 20 as small`)
  expect(size).toEqual([{ small: true }])
  const versions = async (): Promise<unknown> => (await session.query('select ctid, xmin from t')).rows
  const untouched = await versions()
  await session.query(`insert into t values (0, 0, 'c')`)
  await lease.reset()
  expect(await versions()).toEqual(untouched)
})

test('an empty table that many rows were removed from is planned as in a fresh clone', async () => {
  const { lease, role } = await lend({
    sql: 'create table orders (id int primary key, customer int, body text); create index on orders (customer, id desc)',
  })
  await using session = await role()
  const known = async (): Promise<unknown> =>
    (await session.query(`select relname, relpages, reltuples from pg_class where oid = 'orders'::regclass`)).rows
  const fresh = await known()
  await session.query(`insert into orders select i, 7, repeat('x', 400) from generate_series(1, 2000) i`)
  const grown = await session.query(`select pg_relation_size('orders') / 8192 as pages`)
  await lease.reset()

  // More than a reset leaves to the next one: it was vacuumed.
  expect(Number(grown.rows[0]?.pages)).toBeGreaterThan(64)
  expect((await session.query(`select pg_relation_size('orders')::int as size`)).rows).toEqual([{ size: 0 }])
  expect(await known()).toEqual(fresh)
  await session.query(`set plan_cache_mode = force_generic_plan`)
  await session.query(`prepare newest(int) as select id from orders where customer = $1 order by id desc limit 10`)
  const plan = JSON.stringify((await session.query('explain execute newest(7)')).rows)
  expect(plan).toContain('orders_customer_id_idx')
})
