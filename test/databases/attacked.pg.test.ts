/** What reviewers broke: each test here was seen to fail once. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunContext } from '../../src/databases/context.ts'
import { WorkerDatabase } from '../../src/databases/database.ts'
import { acquireFresh } from '../../src/databases/fresh.ts'
import { Lease } from '../../src/databases/lease.ts'
import { callOnReset, onReset } from '../../src/databases/on-reset.ts'
import type { ResetName } from '../../src/databases/reset/strategy.ts'
import { DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { ident } from '../../src/postgres/index.ts'
import { collect, errorOf, eventually } from '../helpers/wait.ts'
import { type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let folder: string
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  folder = await mkdtemp(join(tmpdir(), 'testdb-attacked-'))
})
afterEach(async () => {
  await run.end()
  await world.close()
  await rm(folder, { recursive: true, force: true })
})

async function contextOf(more: Partial<RunContext> = {}): Promise<RunContext> {
  const reset = more.reset ?? 'rows'
  const content = {
    sql: 'create table items (id serial primary key, name text)',
    seed: `insert into items (name) values ('seed')`,
  }
  return world.context(run, await world.template({ ...content, reset }, run), { reset, ...more })
}

async function lend(context: RunContext): Promise<WorkerDatabase & { readonly lease: Lease }> {
  return new WorkerDatabase(context, await world.acquire(context), '1') as WorkerDatabase & { readonly lease: Lease }
}

async function ask(database: string, sql: string): Promise<unknown[]> {
  await using session = await world.connect(database, 'role')
  return (await session.query(sql)).rows
}
const names = async (database: string): Promise<unknown[]> =>
  (await ask(database, 'select name from items order by id')).map((row) => (row as { name: string }).name)
const write = (database: string): Promise<unknown> => ask(database, `insert into items (name) values ('late')`)

describe('what is written after a database was given back', () => {
  test.each(['rows', 'a table'])('is gone for the next run: %s', async (what) => {
    const context = await contextOf()
    const lease = await world.acquire(context)
    await lease.release()
    await (what === 'rows' ? write(lease.name) : ask(lease.name, 'create table late (n int)'))
    const other = await world.run()
    using resets = collect('database.reset')
    const next = await world.acquire({ ...context, runId: other.id })
    expect(next.name).toBe(lease.name)
    expect(await names(next.name)).toEqual(['seed'])
    expect(await ask(next.name, `select to_regclass('late') as late`)).toEqual([{ late: null }])
    expect(resets.events).toHaveLength(1)
    await next.release()
    // Nobody has written: nothing is reset but by giving it back.
    const third = await world.acquire({ ...context, runId: other.id })
    expect(resets.events).toHaveLength(2)
    await third.release()
    await other.end()
  })

  test('is gone where a migrated table was changed: the next one has a fresh clone', async () => {
    const context = await contextOf()
    const lease = await world.acquire(context)
    await lease.release()
    await using idle = await world.connect(lease.name, 'role')
    await idle.query('alter table items add column late int')
    const next = await world.acquire(context)
    expect(Object.keys((await ask(next.name, 'select * from items'))[0] as object)).toEqual(['id', 'name'])
    await next.release()
  })

  test("is gone for the same worker's next file, over its shortcut", async () => {
    const context = await contextOf({ folder })
    const lease = await world.acquire(context)
    await lease.release()
    await write(lease.name)
    using steps = collect('step.reached')
    const next = await world.acquire(context)
    expect(steps.events.map(({ step }) => step)).not.toContain('lease.picked')
    expect(next.name).toBe(lease.name)
    expect(await names(next.name)).toEqual(['seed'])
  })

  test('is gone for a worker that keeps its database', async () => {
    const lease = await world.acquire(await contextOf())
    await lease.settle()
    await write(lease.name)
    await lease.resume()
    expect(await names(lease.name)).toEqual(['seed'])
    await using session = await world.connect(lease.name)
    expect((await session.query('select held, clean from testdb.lease')).rows).toEqual([{ held: true, clean: false }])
  })

  test('whose memory of writes is gone is replaced', async () => {
    const lease = await world.acquire(await contextOf())
    await lease.settle()
    {
      await using session = await world.connect(lease.name)
      await session.query(`insert into items (name) values ('late'); drop table testdb.dirty`)
    }
    await lease.resume()
    expect(await names(lease.name)).toEqual(['seed'])
  })
})

test.each<ResetName>(['rows', 'rollback'])('a handle does nothing after its release: %s', async (reset) => {
  const context = await contextOf({ reset })
  const database = await lend(context)
  await database.query('select 1')
  const checkpoint = await database.checkpoint()
  await database.release()
  const next = await lend(context)
  expect(next.name).toBe(database.name)
  const misuse = [
    () => database.query(`insert into items (name) values ('mine')`),
    async () => database.pool,
    async () => database.knex(),
    () => database.reset(),
    () => database.checkpoint(),
  ]
  for (const use of misuse) {
    const error = await errorOf(use())
    expect(error.code).toBe('TESTDB_LEASE_LOST')
    expect(error.message).toContain(`the database ${database.name} was released`)
  }
  await next.query(`insert into items (name) values ('theirs')`)
  await checkpoint.release().catch(() => undefined)
  expect((await next.query('select name from items order by id')).rows).toHaveLength(2)
  await next.release()
  const left = await world.session.query(
    `select from pg_stat_activity where datname = $1 and backend_type = 'client backend'`,
    [database.name],
  )
  expect(left.rowCount).toBe(0)
})

describe('keeping the database of a failed test', () => {
  test("scope 'file': a copy, and later tests go on", async () => {
    const lease = await acquireFresh(await contextOf({ scope: 'file' }), '1')
    await write(lease.name)
    const copy = await lease.keep()
    expect(copy).not.toBe(lease.name)
    await lease.reset()
    expect(await names(copy)).toEqual(['seed', 'late'])
    expect(await names(lease.name)).toEqual(['seed'])
    const states = await world.session.query('select name, state from testdb.databases order by id')
    expect(states.rows).toEqual([
      { name: lease.name, state: 'once' },
      { name: copy, state: 'kept' },
    ])
    await lease.release()
  })

  test('clients that reconnect at once are no obstacle', async () => {
    const lease = await world.acquire(await contextOf())
    await write(lease.name)
    let going = true
    const strays = Array.from({ length: 4 }, async () => {
      while (going) {
        const client = new pg.Client({
          ...world.admin,
          user: world.role.user,
          password: world.role.password,
          database: lease.name,
        })
        const ended = new Promise((resolve) => client.on('error', resolve).on('end', () => resolve(undefined)))
        await client.connect().then(
          () => (going ? ended : client.end()),
          () => undefined,
        )
      }
    })
    try {
      for (let i = 0; i < 5; i++) expect(await names(await lease.keep())).toEqual(['seed', 'late'])
    } finally {
      going = false
      await lease.replace()
      await Promise.all(strays)
    }
    expect(lease.session.ended).toBe(false)
  })

  test('that can not be copied is still held, as it was', async () => {
    const context = await contextOf()
    const nobody = { ...context, role: { ...context.role, user: 'nobody at all' } }
    const lease = await world.acquire(context)
    await world.session.query(`alter database ${ident(lease.name)} connection limit 7`)
    const held = new Lease(nobody, lease.session)
    await write(lease.name)
    const error = await errorOf(held.keep())
    expect(error.message).toContain(`${lease.name} could not be kept: role "nobody at all" does not exist`)
    expect((await world.session.query('select name, state from testdb.databases')).rows).toEqual([
      { name: lease.name, state: 'ready' },
    ])
    const { rows } = await world.session.query(
      'select datallowconn, datconnlimit from pg_database where datname = $1',
      [lease.name],
    )
    expect(rows).toEqual([{ datallowconn: true, datconnlimit: 7 }])
    expect(await names(lease.name)).toEqual(['seed', 'late'])
    expect((await world.acquire(context)).name).not.toBe(lease.name)
    await held.reset()
    expect(await names(lease.name)).toEqual(['seed'])
    await held.release()
  })

  test('makes no new baseline of what tests have changed', async () => {
    const context = await contextOf()
    const lease = await world.acquire(context)
    await ask(
      lease.name,
      `do $$begin execute 'alter database ' || quote_ident(current_database()) || ' set work_mem = ''5MB'''; end$$`,
    )
    await lease.keep()
    await lease.release()
    const next = await world.acquire(context)
    expect(next.name).not.toBe(lease.name)
    expect(await ask(next.name, 'show work_mem')).toEqual([{ work_mem: '4MB' }])
  })

  test('ten of a project stay, the last ones; those of others are left alone', async () => {
    const context = await contextOf()
    const lease = await world.acquire(context)
    const theirs = await world.acquire({ ...context, project: `${world.project}b` }, '2')
    const other = await theirs.keep()
    await world.session.query(
      `insert into testdb.templates (hash, project, summary) select md5('other'), 'other', 'test'`,
    )
    await world.session.query(
      `update testdb.databases set template_id = (select id from testdb.templates where project = 'other'), last_used = now() - interval '1 h' where name = $1`,
      [other],
    )
    const copies: string[] = []
    for (let i = 0; i < 12; i++) copies.push(await lease.keep())
    const { rows } = await world.session.query<{ name: string }>(
      `select name from testdb.databases where state = 'kept' order by id`,
    )
    expect(rows.map(({ name }) => name)).toEqual([other, ...copies.slice(2)])
    expect(await world.databases()).not.toContain(copies[0])
    await world.session.query(`drop database ${ident(other)}`)
  })
})

test('listeners of onReset are all called, then the first error is thrown', async () => {
  const called: number[] = []
  const stops = [1, 2, 3].map((n) =>
    onReset(() => {
      called.push(n)
      if (n < 3) throw new Error(`listener ${n}`)
    }),
  )
  await expect(callOnReset()).rejects.toThrow('listener 1')
  for (const stop of stops) stop()
  expect(called).toEqual([1, 2, 3])
})

describe.each<ResetName>(['rows', 'rollback'])('checkpoints that are gone, with %s', (reset) => {
  const put = (database: WorkerDatabase, name: string): Promise<unknown> =>
    database.query('insert into items (name) values ($1)', [name])
  const seen = async (database: WorkerDatabase): Promise<unknown[]> =>
    (await database.query('select name from items order by id')).rows.map(({ name }) => name)

  test('of an earlier test', async () => {
    const database = await lend(await contextOf({ reset }))
    const unchanged = await database.checkpoint()
    await put(database, 'a')
    const old = await database.checkpoint()
    await database.resetAfter('the first', 0)
    await put(database, 'b')
    await old.release()
    await unchanged.release()
    expect(await seen(database)).toEqual(['seed', 'b'])
    // Also where one of the same level is there again.
    const mine = await database.checkpoint()
    await put(database, 'c')
    await old.release()
    expect(await seen(database)).toEqual(['seed', 'b', 'c'])
    await mine.release()
    expect(await seen(database)).toEqual(['seed'])
    await database.release()
  })

  test('of an outer one that was released', async () => {
    const database = await lend(await contextOf({ reset }))
    const outer = await database.checkpoint()
    await put(database, 'a')
    const inner = await database.checkpoint()
    await outer.release()
    await put(database, 'b')
    await inner.release()
    await outer.release()
    expect(await seen(database)).toEqual(['seed', 'b'])
    await database.release()
  })

  test('a reset ends none', async () => {
    const database = await lend(await contextOf({ reset }))
    await using unchanged = await database.checkpoint()
    await put(database, 'a')
    await using second = await database.checkpoint()
    await put(database, 'b')
    await database.reset()
    expect(await seen(database)).toEqual(['seed', 'a'])
    await second.release()
    await put(database, 'c')
    await unchanged.release()
    expect(await seen(database)).toEqual(['seed'])
    await database.release()
  })
})

describe('rollback: what a session has and a transaction does not', () => {
  test('advisory locks end with the test', async () => {
    const database = await lend(await contextOf({ reset: 'rollback' }))
    await database.query('select pg_advisory_lock(42)')
    await database.resetAfter('a test', 0)
    expect(await ask(database.name, 'select pg_try_advisory_lock(42) as free')).toEqual([{ free: true }])
    await database.release()
  })

  test.each([0, 1])('named statements are known for what they are in each test, back to %i', async (level) => {
    const database = await lend(await contextOf({ reset: 'rollback' }))
    const named = { name: 'all items', text: 'select * from items' }
    if (level > 0) await database.checkpoint()
    const putBack = (): Promise<void> => (level === 0 ? database.resetAfter('a test', 0) : database.reset())
    for (let i = 0; i < 3; i++) {
      await database.query('alter table items add column more int')
      expect((await database.pool.query(named)).fields).toHaveLength(3)
      await database.query('prepare mine as select 1')
      await putBack()
      expect((await database.pool.query(named)).fields).toHaveLength(2)
      await putBack()
    }
    await database.release()
  })
})

describe.each<ResetName>(['rows', 'truncate', 'rollback'])('queries that nobody awaited, with %s', (reset) => {
  test('of the pool, of clients and of Knex belong to the test that has sent them', async () => {
    const database = await lend(await contextOf({ reset, pool: { ...DEFAULT_LIMITS, max: 2 } }))
    const { pool } = database
    const knex = database.knex()
    const chain = async (): Promise<void> => {
      const client = await pool.connect()
      try {
        await client.query('select 1')
        await client.query(`insert into items (name) values ('chain')`)
      } finally {
        client.release()
      }
    }
    for (let i = 0; i < 12; i++) {
      const late = [
        ...Array.from({ length: 4 }, () => database.query(`insert into items (name) values ('late')`)),
        knex('items')
          .insert({ name: 'knex' })
          .then(() => undefined),
        knex('items')
          .insert({ name: 'knex' })
          .then(() => undefined),
        chain(),
      ]
      await database.resetAfter('a test', 0)
      expect((await Promise.allSettled(late)).map(({ status }) => status)).not.toContain('rejected')
      expect((await database.query('select name from items')).rows).toEqual([{ name: 'seed' }])
    }
    await database.release()
  }, 60_000)

  test('an idle client is not waited for, a query without an end only for a moment', async () => {
    const database = await lend(await contextOf({ reset }))
    const client = await database.pool.connect()
    client.on('error', () => undefined)
    await client.query('select 1')
    const waits: number[] = []
    const measure = async (): Promise<void> => {
      const startedAt = performance.now()
      await database.resetAfter('a test', 0)
      waits.push(performance.now() - startedAt)
    }
    await measure()
    const endless = client.query('select pg_sleep(600)').catch((error: Error) => error)
    await measure()
    expect(waits[0]).toBeLessThan(700)
    expect(waits[1]).toBeGreaterThan(700)
    expect(waits[1]).toBeLessThan(5_000)
    await world.session.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and state = $2',
      [database.name, 'active'],
    )
    expect(await endless).toBeInstanceOf(Error)
    client.release(true)
    await eventually('it works again', async () => (await database.query('select 1')).rowCount === 1)
    await database.release()
  })

  test('errors of queries reach who asked, and only them', async () => {
    const database = await lend(await contextOf({ reset }))
    expect(await errorOf(database.query('select nothing')).catch((error: Error) => error)).toMatchObject({
      message: expect.stringContaining('nothing'),
    })
    await new Promise((resolve) => database.pool.query('select 1 as one', (_error, result) => resolve(result))).then(
      (result) => expect(result).toMatchObject({ rows: [{ one: 1 }] }),
    )
    await database.resetAfter('a test', 0)
    await database.release()
  })
})
