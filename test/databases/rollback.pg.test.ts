import type { Knex } from 'knex'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { WorkerDatabase } from '../../src/databases/database.ts'
import type { Lease } from '../../src/databases/lease.ts'
import type { Pool, Session } from '../../src/postgres/index.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'
import { fuzz, LONE, play, type Script, TWO } from './rollback-scripts.ts'

let world: World
let run: TestRun
let template: Template
let lease: Lease
let db: WorkerDatabase
/** The database as others see it. */
let outside: Session
let original: Awaited<ReturnType<typeof snapshotDatabase>>

const names = async (): Promise<unknown[]> =>
  (await db.query('select name from items order by id')).rows.map(({ name }) => name)
const put = (name: string): Promise<unknown> => db.query('insert into items (name) values ($1)', [name])

beforeAll(async () => {
  world = await World.create()
  run = await world.run()
  template = await world.template(
    {
      sql: `create table items (id serial primary key, name text unique);
        create table parents (id int primary key);
        create table children (id int primary key, parent int references parents deferrable initially deferred,
          twin int unique deferrable initially immediate)`,
      seed: `insert into items (name) values ('seed'); insert into parents values (1)`,
      reset: 'rollback',
    },
    run,
  )
  lease = await world.acquire(world.context(run, template, { reset: 'rollback' }))
  outside = await world.connect(lease.name)
  original = await snapshotDatabase(outside)
})
afterAll(async () => {
  await outside.close()
  await lease.release()
  await run.end()
  await world.close()
})

let warnings: ReturnType<typeof collect<'warning.raised'>>
beforeEach(() => {
  warnings = collect('warning.raised')
  db = new WorkerDatabase(world.context(run, template, { reset: 'rollback' }), lease, '1')
})
afterEach(async () => {
  await db.closePools()
  warnings[Symbol.dispose]()
  // Nothing of a test was ever committed; sequences move on.
  expect((await snapshotDatabase(outside)).tables).toEqual(original.tables)
})
const said = (): string[] => warnings.events.map(({ message }) => message)

test('one transaction for the pool and Knex, which nobody else sees, and which is rolled back', async () => {
  await put('mine')
  await db.knex()('items').insert({ name: 'by knex' })
  await db.query('create table made (n int)')
  expect(await names()).toEqual(['seed', 'mine', 'by knex'])
  expect(await db.knex()('items').pluck('name').orderBy('id')).toEqual(['seed', 'mine', 'by knex'])
  expect((await outside.query('select from items')).rowCount).toBe(1)
  using resets = collect('database.reset')
  await db.resetAfter('a test', 0)
  expect(resets.events).toMatchObject([{ database: lease.name, strategy: 'rollback' }])
  expect(await names()).toEqual(['seed'])
  expect((await db.query(`select to_regclass('made') as made`)).rows).toEqual([{ made: null }])
  expect(said()).toEqual([])
})

test('a test that does not use db opens nothing, and between tests no transaction is open', async () => {
  const states = async (): Promise<unknown[]> => {
    const { rows } = await outside.query<{ state: string }>(
      `select state from pg_stat_activity where datname = $1 and usename = 'testdb'`,
      [lease.name],
    )
    return rows.map(({ state }) => state)
  }
  await db.resetAfter('uses nothing', 0)
  expect(await states()).toEqual([])
  await put('mine')
  expect(await states()).toEqual(['idle in transaction'])
  await db.resetAfter('uses it', 0)
  await db.resetAfter('does not', 0)
  expect(await states()).toEqual(['idle'])
})

/** What each step answers on real connections, and through `db`: it must be the same. */
async function compare(script: Script): Promise<void> {
  const real = new pg.Pool({ ...db.connection })
  try {
    const expected = await play(real, script)
    await lease.rewind(0)
    const found = await play(db.pool, script)
    await db.resetAfter('a script', 0)
    expect(found).toEqual(expected)
  } finally {
    await real.end()
    // Sequences, too.
    await lease.rewind(0)
  }
}

test.each(LONE)('as with a connection of its own: %s', async (_what, ...script) => {
  await compare(script)
  expect(said()).toEqual([])
})

test.each(TWO)('as with two connections: %s', async (_what, ...script) => {
  await compare(script)
})

test('query() takes all forms of the driver', async () => {
  const client = await db.pool.connect()
  const called = <T>(start: (done: (error: unknown, result: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => start((error, result) => (error ? reject(error) : resolve(result))))
  type Result = pg.QueryResult<Record<string, unknown>>
  const forms: Promise<Result>[] = [
    client.query('select $1::int as n', [1]),
    client.query({ text: 'select $1::int as n', values: [1] }),
    client.query({ text: 'select $1::int as n', name: 'one' }, [1]),
    client.query({ text: 'select $1::int as n', name: 'one' }, [1]),
    called<Result>((done) => client.query('select 1 as n', done)),
    called<Result>((done) => client.query('select $1::int as n', [1], done)),
    called<Result>((done) => client.query({ text: 'select 1 as n', callback: done } as pg.QueryConfig)),
    called<Result>((done) => void db.pool.query('select 1 as n', done)),
  ]
  for (const { rows } of await Promise.all(forms)) expect(rows).toEqual([{ n: 1 }])
  expect((await client.query({ text: 'select 1, 2', rowMode: 'array' })).rows).toEqual([[1, 2]])
  await expect(called((done) => client.query('nonsense', done))).rejects.toMatchObject({ code: '42601' })
  expect(() => client.query(null as unknown as string)).toThrow('null or undefined query')
  expect(() => client.query('select 1', [], 'no function' as never)).toThrow('callback is not a function')
  const custom = { getTypeParser: () => () => 'parsed' }
  expect((await client.query({ text: 'select 1 as n', types: custom } as pg.QueryConfig)).rows).toEqual([
    { n: 'parsed' },
  ])
  ;(client as pg.PoolClient).setTypeParser(23, (text) => `int ${text}`)
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 'int 1' }])
  expect([client.escapeLiteral(`a'b`), client.escapeIdentifier('a"b')]).toEqual([`'a''b'`, '"a""b"'])
  const notice = new Promise((resolve) => client.once('notice', resolve))
  await client.query(`do $$ begin raise notice 'hello'; end $$`)
  expect(await notice).toMatchObject({ message: 'hello' })
  client.release()
})

test('query objects run with a savepoint of their own; those that control transactions are refused', async () => {
  const client = await db.pool.connect()
  const run = (text: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const query = new pg.Query(text, undefined as never)
      query.on('end', resolve)
      query.on('error', reject)
      client.query(query)
    })
  await put('mine')
  await run('select 1')
  expect((await errorOf(run('nonsense'))).code).toBe('42601')
  expect((await errorOf(run('commit'))).message).toContain('can not be a query object')
  expect(await names()).toEqual(['seed', 'mine'])
  await client.query('begin')
  expect((await errorOf(run('nonsense'))).code).toBe('42601')
  await put('beside')
  expect((await errorOf(run('select 1'))).code).toBe('25P02')
  expect((await errorOf(client.query('select 1'))).code).toBe('25P02')
  await client.query('rollback')
  client.release()
  expect(await names()).toEqual(['seed', 'mine', 'beside'])
})

test('two-phase transactions are refused, and what procedures commit', async () => {
  const client = await db.pool.connect()
  await client.query('begin')
  for (const command of ['prepare transaction', 'commit prepared', 'rollback prepared']) {
    expect((await errorOf(client.query(`${command} 'x'`))).message).toContain(
      `${command.toUpperCase()} is not possible`,
    )
  }
  await client.query('rollback')
  expect((await errorOf(client.query('do $$ begin commit; end $$'))).code).toBe('2D000')
  expect((await errorOf(client.query('vacuum items'))).code).toBe('25001')
  client.release()
})

test('READ ONLY is kept, isolation levels are not', async () => {
  const client = await db.pool.connect()
  await client.query('begin isolation level serializable read only')
  expect((await errorOf(client.query(`insert into items (name) values ('x')`))).code).toBe('25006')
  await client.query('rollback')
  await client.query('begin; set transaction isolation level repeatable read; set transaction read only')
  expect((await errorOf(client.query('delete from items'))).code).toBe('25006')
  await client.query('commit')
  await client.query('begin read only; commit and chain')
  expect((await errorOf(client.query('delete from items'))).code).toBe('25006')
  await client.query('rollback')
  await client.query('delete from items')
  client.release()
})

test('queries at the same time, some of which fail, and transactions in each other', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, n) =>
      db.query('insert into items (name) values ($1)', [n % 3 === 0 ? 'same' : `${n}`]),
    ),
  )
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(9)
  expect((await db.query('select from items')).rowCount).toBe(22)
  const outer = await db.pool.connect()
  await outer.query('begin')
  await outer.query(`insert into items (name) values ('outer')`)
  // Would wait for ever, if one had to end before the other begins.
  await put('beside')
  await db.knex().transaction(async (trx) => {
    await trx('items').insert({ name: 'inner' })
  })
  await outer.query('commit')
  outer.release()
  expect((await names()).slice(-3)).toEqual(['outer', 'beside', 'inner'])
  expect(said()).toEqual([])
})

test('who rolls back undoes what others have written meanwhile, and it is said', async () => {
  const [first, second] = [await db.pool.connect(), await db.pool.connect()]
  await first.query('begin')
  await put('beside')
  await second.query('begin')
  await second.query(`insert into items (name) values ('second')`)
  await first.query('rollback')
  expect(await names()).toEqual(['seed'])
  expect(said().join()).toContain('what other connections of db wrote since it began')
  expect((await errorOf(second.query('select 1'))).message).toContain('rolled back together with')
  expect((await errorOf(second.query('commit'))).message).toContain('rolled back together with')
  expect((await second.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  first.release()
  second.release()
})

test('Knex: transactions in transactions, failures, both styles', async () => {
  const knex = db.knex()
  const add = (on: Knex, name: string): Promise<unknown> => on('items').insert({ name }).then()
  await knex.transaction(async (trx) => {
    await add(trx, 'one')
    await trx.transaction((inner) => add(inner, 'two'))
    await errorOf(
      trx.transaction(async (inner) => {
        await add(inner, 'undone')
        await add(inner, 'seed')
      }),
    )
    await add(trx, 'three')
  })
  expect((await errorOf(knex.transaction((trx) => add(trx, 'seed')))).message).toContain('duplicate key')
  expect((await errorOf(add(knex, 'seed'))).message).toContain('duplicate key')
  const manual = await knex.transaction({ isolationLevel: 'serializable' })
  await add(manual, 'gone')
  await manual.rollback()
  const readOnly = knex.transaction((trx) => add(trx, 'x'), { readOnly: true })
  expect((await errorOf(readOnly)).message).toContain('read-only transaction')
  await Promise.all(['four', 'five'].map((name) => knex.transaction((trx) => add(trx, name))))
  expect((await names()).sort()).toEqual(['five', 'four', 'one', 'seed', 'three', 'two'])
  expect(await knex('items').count({ n: '*' }).first()).toEqual({ n: '6' })
  expect(said()).toEqual([])
})

test('a statement that takes too long is cancelled, and the test goes on', async () => {
  await put('mine')
  await db.query('set statement_timeout = 50')
  expect((await errorOf(db.query('select pg_sleep(60)'))).code).toBe('57014')
  expect(await names()).toEqual(['seed', 'mine'])
})

test('a lost connection is told, and the next query has another one', async () => {
  const idle = await db.pool.connect()
  const told = new Promise<Error>((resolve) => idle.once('error', resolve))
  await put('mine')
  const { rows } = await db.query<{ pid: number }>('select pg_backend_pid() as pid')
  await outside.query('select pg_terminate_backend($1)', [rows[0]?.pid])
  expect((await within('the client hears of it', told)).message).toMatch(/terminat/)
  expect((await errorOf(idle.query('select 1'))).message).toMatch(/terminat/)
  idle.release()
  expect(await names()).toEqual(['seed'])
  await db.knex()('items').insert({ name: 'again' })
  expect((await errorOf(db.query('select pg_terminate_backend(pg_backend_pid())'))).code).toBe('57P01')
  await eventually('the next one works', async () => (await db.query('select 1').catch(() => undefined))?.rowCount)
  expect(await names()).toEqual(['seed'])
  await db.resetAfter('a test', 0)
  expect(said()).toEqual([])
})

test('a transaction that was left open ends with its test', async () => {
  const client = await db.pool.connect()
  const told = new Promise<Error>((resolve) => client.once('error', resolve))
  await client.query('begin')
  await client.query(`insert into items (name) values ('x')`)
  const trx = await db.knex().transaction()
  await trx('items').insert({ name: 'y' })
  await db.resetAfter('leaves two', 0)
  expect(said()).toEqual([
    `2 transaction(s) of db on ${lease.name} were still open after the test "leaves two"; they were rolled back and their connections ended`,
  ])
  expect((await told).message).toContain('still open')
  expect((await errorOf(client.query('select 1'))).message).toContain('still open')
  await errorOf(trx('items').then())
  await trx.rollback().catch(() => undefined)
  client.release()
  expect(await names()).toEqual(['seed'])
})

test('a query that goes on after its test is ended and named', async () => {
  await put('mine')
  const late = errorOf(db.query('select pg_sleep(600)'))
  await eventually('it runs', async () => {
    const { rowCount } = await outside.query(
      `select from pg_stat_activity where query like '%sleep(600)' and pid <> pg_backend_pid()`,
    )
    return rowCount
  })
  await db.resetAfter('sleeps', 0)
  expect((await late).message).toMatch(/terminat/)
  expect(said()).toHaveLength(1)
  expect(said()[0]).toMatch(/still worked on .* after the test "sleeps".*pg_sleep\(600\)/)
  expect(await names()).toEqual(['seed'])
})

test('a rollback that can not be done is an error', async () => {
  const { rows } = await db.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid as number
  process.kill(pid, 'SIGSTOP')
  const late = errorOf(db.query('select 1'))
  const reset = errorOf(db.resetAfter('hangs', 0))
  const error = await within('it gives up', reset).finally(() => process.kill(pid, 'SIGCONT'))
  expect(error.code).toBe('TESTDB_RESET_FAILED')
  await late
})

test('checkpoints are savepoints', async () => {
  await put('kept')
  const checkpoint = await db.checkpoint()
  for (const _round of [1, 2]) {
    await put('gone')
    await db.reset()
    expect(await names()).toEqual(['seed', 'kept'])
  }
  await put('second')
  {
    await using _second = await db.checkpoint()
    await db.query('delete from items')
    await db.reset()
    expect(await names()).toEqual(['seed', 'kept', 'second'])
  }
  expect(await names()).toEqual(['seed', 'kept'])
  const client = await db.pool.connect()
  await client.query('begin')
  expect((await errorOf(db.checkpoint())).code).toBe('TESTDB_CHECKPOINT_FAILED')
  await client.query('commit')
  client.release()
  await checkpoint.release()
  expect(await names()).toEqual(['seed'])
  await put('mine')
  await db.checkpoint()
  await db.resetAfter('a test', 0)
  expect(await names()).toEqual(['seed'])
  // What it had kept is gone with the connection.
  await db.checkpoint()
  await errorOf(db.query('select pg_terminate_backend(pg_backend_pid())'))
  await db.reset()
  expect(await names()).toEqual(['seed'])
})

test('what other pools wrote stays until the file ends, sequences too', async () => {
  const { rows } = await db.query(`insert into items (name) values ('x') returning id`)
  const pool = new pg.Pool({ connectionString: db.url })
  await db.resetAfter('a test', 0)
  await pool.query(`insert into items (name) values ('other')`)
  await pool.end()
  await db.resetAfter('a test', 0)
  expect(await names()).toEqual(['seed', 'other'])
  expect((await db.query(`insert into items (name) values ('y') returning id`)).rows[0]?.id).toBeGreaterThan(
    rows[0]?.id as number,
  )
  await db.closePools()
  await lease.settle()
  await lease.resume()
  expect(await snapshotDatabase(outside)).toEqual(original)
})

test('the handle is closed with its connection, and late work opens no other', async () => {
  const pool: Pool = db.pool
  const client = await pool.connect()
  await client.query('begin')
  await db.closePools()
  expect((await errorOf(client.query('select 1'))).message).toMatch(/terminat/i)
  await eventually('its session is gone', async () => {
    const { rowCount } = await outside.query(`select from pg_stat_activity where datname = $1 and usename = 'testdb'`, [
      lease.name,
    ])
    return rowCount === 0
  })
})

test('a lost lease is told', async () => {
  const own = await world.acquire(world.context(run, template, { reset: 'rollback' }), '2')
  const database = new WorkerDatabase(world.context(run, template, { reset: 'rollback' }), own, '2')
  await database.query('select 1')
  const { session } = own
  await world.session.query('select pg_terminate_backend($1)', [session.backendPid])
  await eventually('it is lost', () => session.lost.aborted)
  expect((await errorOf(database.reset())).code).toBe('TESTDB_LEASE_LOST')
  await database.release()
})

test('random scripts answer as on a connection of its own', fuzz(compare), 120_000)
