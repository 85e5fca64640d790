/** What `rows` puts back and reports exactly, where it is easy to be almost right. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lease } from '../../src/databases/lease.ts'
import type { Session } from '../../src/postgres/index.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { type TemplateOptions, type TestRun, World } from '../helpers/world.ts'

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

const runAll = async (session: Session, sql: string): Promise<void> => {
  for (const statement of sql.split('; ')) await session.query(statement)
}

const ORDERS = `create table orders (amount int);
  create materialized view totals as select count(*) as n, coalesce(sum(amount), 0) as total from orders;
  create unique index on totals (n);
  create materialized view over as select n * 10 as more from totals;
  create materialized view shares as select 100 / (3 - n) as share from totals;
  create materialized view filled as select array_agg(amount order by amount) as amounts, clock_timestamp() as at from orders`

test.each([
  ['a refresh', 'refresh materialized view totals'],
  ['a concurrent one', 'refresh materialized view concurrently totals'],
  ['one after more was written', 'insert into orders values (5); refresh materialized view totals'],
  ['a view of the view, too', 'refresh materialized view totals; refresh materialized view over'],
  ['one that makes it empty', 'refresh materialized view totals with no data'],
  ['one of a view that is never the same', 'refresh materialized view filled'],
])('a materialized view that is older than its tables at a checkpoint is put back to that: %s', async (_what, work) => {
  using warnings = collect('warning.raised')
  const { lease, role } = await lend({ sql: ORDERS })
  await using session = await role()
  const states = [await snapshotDatabase(session)]
  const oid = async (): Promise<unknown> =>
    (await session.query('select oid from pg_database where datname = current_database()')).rows
  const before = await oid()
  for (const level of [1, 2, 3]) {
    // At the second level the view has rows that no level's tables give.
    if (level === 2)
      await runAll(session, 'insert into orders values (7); refresh materialized view totals; delete from orders')
    await session.query('insert into orders values (10), (20)')
    expect(await lease.checkpoint()).toBe(level)
    states.push(await snapshotDatabase(session))
  }
  expect((await session.query('select total::int from totals')).rows).toEqual([{ total: 37 }])
  for (const level of [3, 3, 2, 2, 1, 1, 0]) {
    await runAll(session, work)
    await lease.rewind(level)
    expect(await snapshotDatabase(session), `level ${level}`).toEqual(states[level])
    expect(warnings.events).toEqual([])
  }
  await session.query('refresh materialized view concurrently totals')
  await session.query(`insert into totals values (1)`).then(
    () => expect.unreachable('a materialized view takes no rows'),
    (error: unknown) => expect(String(error)).toContain('cannot change materialized view'),
  )
  expect(await oid()).toEqual(before)
  await using admin = await world.connect(lease.name)
  expect((await admin.query(`select relname from pg_class where relname ~ '^view_.*_[123]$'`)).rows).toEqual([])
})

const MOODS = `create type mood as enum ('sad', 'ok');
  create function to_mood(text) returns mood language sql immutable as $$ select 'sad'::mood $$;
  create function to_moods(text) returns mood[] language sql immutable as $$ select array['sad']::mood[] $$;
  create domain feeling as mood;
  create table of_casts (id int primary key, m mood, f feeling, a mood[], r regclass, s text);
  insert into of_casts select i, 'ok', 'ok', '{ok,ok}', case when i % 2 = 0 then 0 else 4711 end, 'x' from generate_series(3, 1, -1) i`
const CASTS =
  'create cast (text as mood) with function to_mood(text); create cast (text as mood[]) with function to_moods(text)'

test.each([
  ['of the template', `${MOODS}; ${CASTS}`, ''],
  ['of a checkpoint', MOODS, CASTS],
  ['of a test', MOODS, ''],
])('a cast that somebody has defined does not change what is put back: %s', async (what, sql, later) => {
  using warnings = collect('warning.raised')
  const { lease, role } = await lend({ sql })
  await using session = await role()
  const content = async (): Promise<unknown> => (await session.query('select * from of_casts')).rows
  const before = await content()
  if (later !== '') {
    await runAll(session, later)
    await lease.checkpoint()
  }
  for (const work of [`update of_casts set s = 'y' where id = 2`, 'truncate of_casts', 'delete from of_casts']) {
    if (what === 'of a test') await runAll(session, CASTS)
    await session.query(work)
    await lease.reset()
    expect(await content(), work).toEqual(before)
  }
  await session.query('delete from of_casts')
  await lease.rewind(0)
  expect(await content()).toEqual(before)
  expect(warnings.events).toEqual([])
})

/** What the functions call something, or might. */
const ALIASES =
  'b t x y v k l s q d r i n f now before after added removed changed new gone line lines place rel level copy name'

test('columns may be called as anything in our own queries', async () => {
  using warnings = collect('warning.raised')
  const names = ALIASES.split(' ').map((name) => `"${name}"`)
  const table = (name: string): string =>
    `create table ${name} (id int primary key, ${names.map((one) => `${one} int`).join(', ')})`
  // The values fall while the places of the rows rise.
  const rows = (name: string, amount: number): string =>
    `insert into ${name} select i, ${names.map(() => '-i').join(', ')} from generate_series(1, ${amount}) i`
  const { lease, role } = await lend({
    sql: `${table('small')}; ${rows('small', 20)}; ${table('middle')}; ${rows('middle', 200)}; ${table('large')}; ${rows('large', 6000)};
      create materialized view seen as select * from small; update small set "n" = 4 where id = 20;
      create materialized view same as select * from middle`,
  })
  await using session = await role()
  // Of the large ones the order is not kept.
  const content = async (): Promise<unknown> => {
    const relations = ['small', 'seen', 'middle order by id', 'large order by id']
    const all = relations.map(async (one) => (await session.query(`select * from ${one}`)).rows)
    return await Promise.all(all)
  }
  const [original, before] = [await snapshotDatabase(session), await content()]
  for (const name of ['small', 'middle', 'large']) {
    await runAll(
      session,
      `update ${name} set "t" = 9 where id = 2; delete from ${name} where id = 3; insert into ${name} (id) values (0)`,
    )
    await runAll(session, 'refresh materialized view seen; refresh materialized view same')
    const changes = await lease.changes(5)
    expect(changes).toMatchObject([{ table: `public.${name}`, added: 1, removed: 1, changed: 1 }])
    const change = changes?.[0]?.rows.changed[0]
    expect(Object.keys(change?.now ?? {}).length).toBe(names.length + 1)
    expect(change).toMatchObject({ before: { id: 2, t: -2, b: -2 }, now: { id: 2, t: 9, b: -2 } })
    await lease.reset()
    expect(await snapshotDatabase(session)).toEqual(original)
    expect(await content()).toEqual(before)
  }
  expect(warnings.events).toEqual([])
})

test('numbers that JavaScript has no room for are reported exactly', async () => {
  const { lease, role } = await lend({ sql: 'create table t (id bigint, n numeric, j jsonb, s text, f float8)' })
  await using session = await role()
  await session.query(
    `insert into t values (9007199254740993, 1.50, '{"deep": [12345678901234567890, 2, "9007199254740993", "a \\" 9007199254740993"]}', '7 \\ 9007199254740993', 0.1)`,
  )
  const changes = await lease.changes(5)
  expect(changes?.[0]?.rows.added).toEqual([
    {
      id: '9007199254740993',
      n: '1.50',
      j: { deep: ['12345678901234567890', 2, '9007199254740993', 'a " 9007199254740993'] },
      s: '7 \\ 9007199254740993',
      f: 0.1,
    },
  ])
})

test('what waits for a reset is undone, too', async () => {
  using warnings = collect('warning.raised')
  const { lease, admin, role } = await lend({ sql: 'create table t (n int); create table u (n int)' })
  await using holder = await role()
  await using late = await role()
  await using watcher = await admin()
  const waiting = async (session: Session, relation: string): Promise<boolean> => {
    const { rows } = await watcher.query(
      'select from pg_locks where pid = $1 and relation = $2::regclass and not granted',
      [session.backendPid, relation],
    )
    return rows.length > 0
  }
  await late.query('insert into t values (1)')
  // Fires no trigger: the reset gets as far as this table, and has the writers' lock by then.
  await runAll(holder, 'begin; lock table t in share mode')
  const reset = lease.reset('first')
  await eventually('the reset waits', () => waiting(lease.session, 't'))
  const insert = late.query('insert into u values (2)')
  await eventually('the late writer waits', () => waiting(late, 'testdb.dirty'))
  await holder.query('commit')
  await Promise.all([reset, insert])
  expect((await watcher.query('select from u')).rows).toEqual([])
  expect(warnings.events).toEqual([])
})
