import { afterAll, beforeAll, expect, test } from 'vitest'
import { WorkerDatabase } from '../../src/databases/database.ts'
import { ident } from '../../src/postgres/index.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, errorOf, eventually } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let template: Template
let cloned: Template
beforeAll(async () => {
  world = await World.create()
  run = await world.run()
  const content = {
    sql: 'create table items (id serial primary key, name text)',
    seed: `insert into items (name) values ('seed')`,
  }
  template = await world.template(content, run)
  cloned = await world.template({ ...content, reset: 'clone' }, run)
})
afterAll(async () => {
  await run.end()
  await world.close()
})

async function lend(slot = '1'): Promise<WorkerDatabase> {
  const context = world.context(run, template)
  return new WorkerDatabase(context, await world.acquire(context), slot)
}

test('reset "clone": a new database of the same name, whatever the test did', async () => {
  const lease = await world.acquire(world.context(run, cloned, { reset: 'clone' }))
  const first = await world.connect(lease.name)
  const before = await snapshotDatabase(first)
  const oid = async (): Promise<unknown> =>
    (await world.session.query('select oid from pg_database where datname = $1', [lease.name])).rows
  const oldOid = await oid()
  await first.query(
    `drop table items; create table other (n int); create extension pg_trgm; begin; insert into other values (1)`,
  )
  using warnings = collect('warning.raised')
  await lease.reset()
  expect(warnings.events).toEqual([])
  expect(await oid()).not.toEqual(oldOid)
  await eventually('the session of the test is ended', () => first.lost.aborted)
  const second = await world.connect(lease.name)
  expect(await snapshotDatabase(second)).toEqual(before)
  // Still ours: another worker gets another one.
  const other = await world.acquire(world.context(run, cloned, { reset: 'clone' }), lease.name)
  expect(other.name).not.toBe(lease.name)
  expect((await world.session.query('select state from testdb.databases where name = $1', [lease.name])).rows).toEqual([
    { state: 'ready' },
  ])
  await second.close()
  await other.release()
  await lease.release()
})

test('reset "clone": what is written after the last reset does not reach the next worker', async () => {
  const context = world.context(run, cloned, { reset: 'clone' })
  const lease = await world.acquire(context)
  await lease.reset()
  {
    await using session = await world.connect(lease.name)
    await session.query(`insert into items (name) values ('from a hook')`)
  }
  await lease.release()
  const next = await world.acquire(context, lease.name)
  await using session = await world.connect(next.name)
  expect((await session.query('select name from items')).rows).toEqual([{ name: 'seed' }])
  await session.close()
  await next.release()
})

test('strays that reconnect all the time do not keep a database from being replaced', async () => {
  const lease = await world.acquire(world.context(run, cloned, { reset: 'clone' }))
  let going = true
  const stray = (async () => {
    while (going) await (await world.connect(lease.name).catch(() => undefined))?.close()
  })()
  for (let i = 0; i < 3; i++) await lease.reset()
  going = false
  await stray
  await lease.release()
})

test('a lost lease is told, and the database is not made anew', async () => {
  const lease = await world.acquire(world.context(run, template))
  await world.session.query('select pg_terminate_backend($1)', [lease.session.backendPid])
  expect((await errorOf(lease.reset())).code).toBe('TESTDB_LEASE_LOST')
  expect((await errorOf(lease.reset())).code).toBe('TESTDB_LEASE_LOST')
  await lease.release()
})

test('a pool and a Knex instance come with the address, are capped and named, and are closed with the lease', async () => {
  const database = await lend('7')
  expect(await database.query('select current_database() as name, current_user as user')).toEqual({
    rows: [{ name: database.name, user: 'testdb' }],
    rowCount: 1,
  })
  const { rows } = await database.knex().raw('select 1 as one')
  expect(rows).toEqual([{ one: 1 }])
  const seen = await world.session.query(
    `select distinct application_name from pg_stat_activity where datname = $1 and usename = 'testdb'`,
    [database.name],
  )
  expect(seen.rows).toEqual([{ application_name: `testdb:${world.project}:7` }])
  expect(database.pool).toBe(database.pool)
  expect(database.knex()).toBe(database.knex())
  expect(database.pool.options.max).toBe(3)
  expect(database.url).toContain(`/${database.name}`)
  await database.release()
  const left = await world.session.query('select from pg_stat_activity where datname = $1', [database.name])
  expect(left.rowCount).toBe(0)
})

test('a pool that the test has ended itself is no error', async () => {
  const database = await lend()
  await database.query('select 1')
  await database.pool.end()
  await database.knex().raw('select 1')
  await database.knex().destroy()
  await database.release()
})

test('reset goes through the database, and the pool stays open', async () => {
  const database = await lend()
  await database.query(`insert into items (name) values ('mine')`)
  await database.reset()
  expect((await database.query('select name from items')).rows).toEqual([{ name: 'seed' }])
  await database.release()
  expect((await errorOf(database.reset())).code).toBe('TESTDB_LEASE_LOST')
})

test('a shared database is never reset, nor dropped', async () => {
  const name = `${world.admin.database}_shared`
  await world.session.query(`create database ${ident(name)} owner testdb`)
  const shared = new WorkerDatabase({ ...world.context(run, template), template: undefined, shared: name }, name, '1')
  await shared.query('create table kept (n int)')
  await shared.reset()
  await shared.release()
  await using session = await world.connect(name)
  expect((await session.query('select from kept')).rowCount).toBe(0)
  await session.close()
  await world.session.query(`drop database ${ident(name)}`)
})
