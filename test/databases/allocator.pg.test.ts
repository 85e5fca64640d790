import { afterEach, beforeEach, expect, test } from 'vitest'
import { acquireDatabase, databaseEnvironment } from '../../src/acquire.ts'
import type { RunContext } from '../../src/databases/context.ts'
import type { Lease } from '../../src/databases/lease.ts'
import { connectionLimit } from '../../src/pools/limits.ts'
import { databaseExists, ident, isSqlState, Session } from '../../src/postgres/index.ts'
import { sweep } from '../../src/templates/sweep.ts'
import { isShort } from '../helpers/effort.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'

const MIGRATED = {
  sql: 'create table items (id serial primary key, name text)',
  seed: `insert into items (name) values ('seed')`,
}

let world: World
let run: TestRun
let template: Template
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  template = await world.template(MIGRATED, run)
})
afterEach(async () => {
  await run.end()
  await world.close()
})

const context = (more: Partial<RunContext> = {}): RunContext => world.context(run, template, more)

async function items(database: string, sql = 'select name from items order by id'): Promise<unknown[]> {
  await using session = await world.connect(database, 'role')
  return (await session.query<{ name: string }>(sql)).rows.map((row) => row.name)
}
const write = (database: string): Promise<unknown[]> =>
  items(database, `insert into items (name) values ('mine') returning name`)

async function stateOf(name: string): Promise<string | undefined> {
  const { rows } = await world.session.query<{ state: string }>('select state from testdb.databases where name = $1', [
    name,
  ])
  return rows[0]?.state
}

const release = (leases: readonly Lease[]): Promise<unknown> => Promise.all(leases.map((lease) => lease.release()))

test('many workers on few idle databases: nobody shares one, and no more clones are made than needed', async () => {
  using created = collect('database.created')
  const first = await Promise.all(Array.from({ length: 4 }, () => world.acquire(context())))
  await release(first)
  expect(created.events).toHaveLength(4)
  for (let round = 0; round < 3; round++) {
    const before = created.events.length
    const leases = await within('all have one', Promise.all(Array.from({ length: 12 }, () => world.acquire(context()))))
    expect(new Set(leases.map((lease) => lease.name)).size).toBe(12)
    // Nobody has taken anybody's away.
    await Promise.all(leases.map((lease) => lease.reset()))
    expect(created.events.length - before).toBe(round === 0 ? 8 : 0)
    await release(leases)
  }
})

test('one worker after the other has the same database, put back, and nothing new is made', async () => {
  using created = collect('database.created')
  const names = new Set<string>()
  for (let round = 0; round < 4; round++) {
    const lease = await world.acquire(context())
    names.add(lease.name)
    expect(await items(lease.name)).toEqual(['seed'])
    await write(lease.name)
    await lease.release()
  }
  expect(names.size).toBe(1)
  expect(created.events).toHaveLength(1)
})

test('a worker gets the database that it had before, if it is free', async () => {
  const slots = ['1', '2', '3']
  const leases = await Promise.all(slots.map((slot) => world.acquire(context(), slot)))
  await release(leases)
  for (const slot of ['3', '1', '2']) {
    const mine = leases[slots.indexOf(slot)]?.name
    const lease = await world.acquire(context(), slot)
    expect(lease.name).toBe(mine)
    await lease.release()
  }
  const taken = await world.acquire(context(), '2')
  const second = await world.acquire(context(), '2')
  expect(second.name).not.toBe(taken.name)
  await release([taken, second])
})

test('a database that somebody else has made is never recorded, and so never dropped', async () => {
  const lease = await world.acquire(context())
  const prefix = lease.name.replace(/\d+$/, '')
  const next = Number(lease.name.slice(prefix.length)) + 1
  const theirs = `${prefix}${next}`
  await world.session.query(`create database ${ident(theirs)}`)
  const other = await world.acquire(context(), '2')
  expect(other.name).toBe(`${prefix}${next + 1}`)
  const { rowCount } = await world.session.query('select from testdb.databases where name = $1', [theirs])
  expect(rowCount).toBe(0)
  await release([lease, other])
  await sweep(world.session, { retention: { perProject: 0, days: 0 } })
  expect(await databaseExists(world.session, theirs)).toBe(true)
  await world.session.query(`drop database ${ident(theirs)}`)
})

const DDL = [
  ['creates a table', 'create table scratch (x int)'],
  ['renames a table', 'alter table items rename to things'],
  ['adds a column', 'alter table items add column more text'],
  ['takes rights away', 'revoke all on items from current_user'],
  ['changes a sequence', 'alter sequence items_id_seq increment 5'],
  ['turns row security on', 'alter table items enable row level security'],
  ['replaces a function', 'create function f() returns int language sql as $$select 1$$'],
  ['makes an enum', `create type colour as enum ('red')`],
  [
    'sets the database',
    `do $$begin execute 'alter database ' || quote_ident(current_database()) || ' set work_mem = ''5MB'''; end$$`,
  ],
].filter((_, index) => !isShort || index % 3 === 0)

test.each(DDL)('a test that %s: without notes of DDL the database is not handed on', async (_what, sql) => {
  template = await world.template({ ...MIGRATED, reset: 'truncate' }, run)
  const truncating = context({ reset: 'truncate' })
  const lease = await world.acquire(truncating)
  using warnings = collect('warning.raised')
  await using own = await world.connect(lease.name, 'role')
  await own.query(sql)
  await own.close()
  await lease.release()
  expect(warnings.events.map((event) => event.message).join()).toContain('is not used again after this file')
  const next = await world.acquire(truncating)
  expect(next.name).not.toBe(lease.name)
  expect(await items(next.name)).toEqual(['seed'])
  expect(await world.databases()).not.toContain(lease.name)
  await next.release()
})

test.each(DDL)('a test that %s: whoever comes next finds the migrated state', async (_what, sql) => {
  const fresh = await world.acquire(context())
  const lease = await world.acquire(context(), '2')
  await using own = await world.connect(lease.name, 'role')
  await own.query(sql)
  await own.close()
  await lease.release()
  const next = await world.acquire(context(), '2')
  const [expected, found] = await Promise.all(
    [fresh, next].map(async ({ name }) => {
      await using session = await world.connect(name)
      const { rows } = await session.query(
        `select setconfig from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = $1)`,
        [name],
      )
      return { ...(await snapshotDatabase(session)), settings: rows }
    }),
  )
  expect(found).toEqual(expected)
  await release([fresh, next])
})

test('temporary objects, a trigger that is enabled again, TRUNCATE and statistics are no reason to make a new one', async () => {
  const lease = await world.acquire(context())
  using warnings = collect('warning.raised')
  await using own = await world.connect(lease.name, 'role')
  await own.query('create temporary table t (id serial primary key, x int); insert into t (x) values (1)')
  await own.query('truncate items restart identity')
  await own.query('analyze items')
  await own.query('alter table items disable trigger user; alter table items enable trigger user')
  await own.close()
  await lease.release()
  expect(warnings.events).toEqual([])
  const next = await world.acquire(context())
  expect(next.name).toBe(lease.name)
  await next.release()
})

test('another run takes what an earlier one has left clean', async () => {
  const lease = await world.acquire(context())
  await write(lease.name)
  await lease.release()
  const next = await world.run()
  const again = await world.acquire({ ...context(), runId: next.id })
  expect(again.name).toBe(lease.name)
  expect(await items(again.name)).toEqual(['seed'])
  await again.release()
  await next.end()
})

test('a lease protects its database from the same worker as well', async () => {
  const lease = await world.acquire(context())
  const other = await world.acquire(context(), lease.name)
  expect(other.name).not.toBe(lease.name)
  // And is neither dropped nor emptied.
  await write(lease.name)
  expect(await items(lease.name)).toEqual(['seed', 'mine'])
  await lease.reset()
})

test('releasing twice, also at once, is releasing once', async () => {
  using released = collect('database.released')
  const lease = await world.acquire(context())
  await Promise.all([lease.release(), lease.release()])
  await lease.release()
  expect(released.events).toEqual([{ database: lease.name }])
})

test('who has given a database back can not reset it any more', async () => {
  const lease = await world.acquire(context())
  await lease.release()
  const next = await world.acquire(context())
  expect(next.name).toBe(lease.name)
  await write(next.name)
  for (const misuse of [lease.reset(), lease.settle(), lease.resume()]) {
    expect((await errorOf(misuse)).code).toBe('TESTDB_LEASE_LOST')
  }
  // The next holder has not noticed.
  expect(await items(next.name)).toEqual(['seed', 'mine'])
  expect(next.session.lost.aborted).toBe(false)
})

test('a database that somebody dropped while it was idle is replaced', async () => {
  const lease = await world.acquire(context())
  await lease.release()
  await world.session.query(`drop database ${ident(lease.name)}`)
  const next = await world.acquire(context())
  expect(await items(next.name)).toEqual(['seed'])
  expect(await stateOf(lease.name)).toBeUndefined()
})

test('a half dropped database is replaced', async () => {
  const lease = await world.acquire(context())
  await lease.release()
  await world.session.query('update pg_database set datconnlimit = -2 where datname = $1', [lease.name])
  const next = await world.acquire(context())
  expect(next.name).not.toBe(lease.name)
  expect(await world.databases()).not.toContain(lease.name)
})

test.each([
  ['has no row', 'truncate testdb.lease'],
  ['has no table', 'drop table testdb.lease'],
  ['says held', 'update testdb.lease set held = true'],
  ['says dirty', 'update testdb.lease set clean = false'],
])('a database whose lease %s is not trusted but dropped', async (_what, sql) => {
  const lease = await world.acquire(context())
  await lease.release()
  {
    await using session = await world.connect(lease.name)
    await session.query(sql)
  }
  const next = await world.acquire(context())
  expect(next.name).not.toBe(lease.name)
  expect(await world.databases()).toEqual([next.name, template.name].sort())
})

test('a dirty database with strays that reconnect is no obstacle', async () => {
  const lease = await world.acquire(context())
  await lease.release()
  {
    await using session = await world.connect(lease.name)
    await session.query('update testdb.lease set held = true')
  }
  let going = true
  const target = { ...world.admin, database: lease.name }
  const stray = (async () => {
    while (going) await (await Session.open(target, { applicationName: 'stray' }).catch(() => undefined))?.close()
  })()
  const next = await world.acquire(context())
  going = false
  await stray
  expect(next.name).not.toBe(lease.name)
  expect(await world.databases()).not.toContain(lease.name)
})

test('work that the last holder left running is ended, its idle sessions are not', async () => {
  const lease = await world.acquire(context())
  await lease.release()
  const idle = await world.connect(lease.name, 'role')
  const busy = await world.connect(lease.name, 'role')
  await busy.query('begin')
  await busy.query(`insert into items (name) values ('late')`)
  const next = await world.acquire(context())
  expect(next.name).toBe(lease.name)
  await eventually('it is ended', () => busy.lost.aborted)
  expect(idle.lost.aborted).toBe(false)
  expect(await items(next.name)).toEqual(['seed'])
})

test('the limit on connections binds the tests and not us', async () => {
  const lease = await world.acquire(context())
  const limit = connectionLimit(3)
  const held: Session[] = []
  let refused: unknown
  while (refused === undefined && held.length <= limit) {
    await world.connect(lease.name, 'role').then(
      (session) => held.push(session),
      (error) => {
        refused = error
      },
    )
  }
  expect(isSqlState(refused, 'tooManyConnections')).toBe(true)
  // Our own session is one of them.
  expect(held).toHaveLength(limit - 1)
  await lease.reset()
  const own = await world.connect(lease.name)
  await own.query('select 1')
})

test('with reset "none" data stays within the run, and the next run gets a clean database', async () => {
  const plain = await world.template({ reset: 'none', seed: `insert into items (name) values ('seed')` }, run)
  const none = world.context(run, plain, { reset: 'none' })
  const lease = await world.acquire(none)
  await write(lease.name)
  await lease.reset()
  expect(await items(lease.name)).toEqual(['seed', 'mine'])
  await lease.release()

  // Another run must not take it, nor take it away.
  const other = await world.run()
  const foreign = await world.acquire({ ...none, runId: other.id })
  expect(foreign.name).not.toBe(lease.name)
  expect(await items(foreign.name)).toEqual(['seed'])
  await foreign.release()

  const again = await world.acquire(none)
  expect(again.name).toBe(lease.name)
  expect(await items(again.name)).toEqual(['seed', 'mine'])
  await again.release()

  // When the run is over its data is.
  await run.end()
  const third = await world.run()
  const clean = await world.acquire({ ...none, runId: third.id })
  expect(clean.name).not.toBe(lease.name)
  expect(await items(clean.name)).toEqual(['seed'])
  expect(await world.databases()).not.toContain(lease.name)
  await clean.release()
  await other.end()
  await third.end()
})

test('a settled database is used again by the same worker', async () => {
  const lease = await world.acquire(context())
  await write(lease.name)
  await lease.settle()
  expect(await items(lease.name)).toEqual(['seed'])
  const other = await world.acquire(context(), lease.name)
  expect(other.name).not.toBe(lease.name)
  await lease.resume()
  await using session = await world.connect(lease.name)
  expect((await session.query('select held, clean from testdb.lease')).rows).toEqual([{ held: true, clean: false }])
})

test('two registries on one server have different databases for one project', async () => {
  await using other = await World.create()
  const otherRun = await other.run()
  const otherTemplate = await other.template({}, otherRun)
  const mine = await world.acquire(context())
  const theirs = await other.acquire({ ...other.context(otherRun, otherTemplate), project: world.project })
  try {
    expect(theirs.name).not.toBe(mine.name)
    expect(mine.session.lost.aborted).toBe(false)
  } finally {
    await theirs.release()
    await other.session.query(`drop database ${ident(theirs.name)}`)
    await otherRun.end()
  }
})

test('a server that is gone is one clear error', async () => {
  const gone = context({ admin: { ...world.admin, port: 1, password: 'hunter2' } })
  const error = await errorOf(world.acquire(gone))
  expect(error.code).toBe('TESTDB_SERVER_UNREACHABLE')
  expect(error.message).not.toContain('hunter2')
})

test('the environment that code finds', async () => {
  const database = await acquireDatabase(context({ env: ['DATABASE_URL', 'TEST_DB'] }), { slot: '7' })
  try {
    const variables = databaseEnvironment(context({ env: ['DATABASE_URL', 'TEST_DB'] }), database)
    expect(variables).toEqual({
      PGHOST: world.admin.host,
      PGPORT: String(world.admin.port),
      PGUSER: 'testdb',
      PGPASSWORD: world.role.password,
      PGDATABASE: database.name,
      DATABASE_URL: database.url,
      TEST_DB: database.url,
    })
    expect(databaseEnvironment(context({ env: false }), database)).toEqual({})
  } finally {
    await database.release()
  }
})

test('two workers want the same database at one moment: who is cut by the other gets another one', async () => {
  const first = await world.acquire(context())
  await release([first])
  // Another worker that takes it ends what works on it, the session of the second among them.
  await using other = await world.connect(first.name)
  await other.query('begin; lock table testdb.lease in access exclusive mode')
  const acquiring = world.acquire(context())
  await eventually('it is cut', async () => {
    const { rowCount } = await world.session.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`,
      [first.name],
    )
    return rowCount === 1
  })
  const second = await within('it has one', acquiring)
  expect(second.name).not.toBe(first.name)
  expect(await items(second.name)).toEqual(['seed'])
  await other.query('rollback')
  await second.release()
})
