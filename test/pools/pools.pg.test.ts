import type { Knex } from 'knex'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closeKnex, knexConfig, openKnex } from '../../src/pools/knex.ts'
import { connectionLimit, DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { closePool, openPool, poolConfig, sqlstateOf } from '../../src/postgres/index.ts'
import { fromPackages, packagesRoot } from '../helpers/packages.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

const GRACE_MS = 100

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

async function sessions(applicationName: string): Promise<number> {
  const { rowCount } = await world.session.query('select from pg_stat_activity where application_name = $1', [
    applicationName,
  ])
  return rowCount ?? 0
}
const gone = (applicationName: string): Promise<unknown> =>
  eventually(`no session of ${applicationName} is left`, async () => (await sessions(applicationName)) === 0)

test('a pool is closed at once when nothing was leaked', async () => {
  const pool = openPool(world.admin, DEFAULT_LIMITS, 'clean')
  await Promise.all([pool.query('select 1'), pool.query('select 1')])
  expect(await within('it is closed', closePool(pool, 60_000), 5_000)).toEqual({ leaked: 0 })
  await gone('clean')
})

test('a pool with clients that were never given back is closed after the grace, and nobody crashes', async () => {
  const pool = openPool(world.admin, DEFAULT_LIMITS, 'leaky')
  const idle = await pool.connect()
  const busy = await pool.connect()
  const running = errorOf(busy.query('select pg_sleep(600)'))
  await idle.query('begin')
  expect(await within('it is closed', closePool(pool, GRACE_MS), 5_000)).toEqual({ leaked: 2 })
  expect((await running).message).toContain('Connection terminated')
  await gone('leaky')
})

test('a pool whose user has ended it, or is ending it, is fine', async () => {
  const ended = openPool(world.admin, DEFAULT_LIMITS, 'ended')
  await ended.query('select 1')
  await ended.end()
  expect(await closePool(ended, 60_000)).toEqual({ leaked: 0 })

  const ending = openPool(world.admin, DEFAULT_LIMITS, 'ending')
  const client = await ending.connect()
  const end = ending.end()
  expect(await within('it is closed', closePool(ending, GRACE_MS), 5_000)).toEqual({ leaked: 1 })
  client.release()
  await end
  await gone('ending')
})

test('an idle client that the server ends leaves a pool that works', async () => {
  const pool = openPool(world.admin, DEFAULT_LIMITS, 'killed')
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  await world.session.query('select pg_terminate_backend($1)', [rows[0]?.pid])
  await eventually('the pool has noticed', () => pool.totalCount === 0)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await closePool(pool, GRACE_MS)
})

test('the server itself limits statements and idle transactions', async () => {
  const limits = { ...DEFAULT_LIMITS, statementMs: 50, idleInTransactionMs: 60 }
  const pool = openPool(world.admin, limits, 'limited')
  const { rows } = await pool.query(
    `select name, setting from pg_settings where name in ('statement_timeout', 'idle_in_transaction_session_timeout') order by 1`,
  )
  expect(rows).toEqual([
    { name: 'idle_in_transaction_session_timeout', setting: '60' },
    { name: 'statement_timeout', setting: '50' },
  ])
  expect(sqlstateOf(await errorOf(pool.query('select pg_sleep(60)')))).toBe('57014')
  const client = await pool.connect()
  const ended = new Promise<Error>((resolve) => client.once('error', resolve))
  await client.query('begin')
  expect(sqlstateOf(await within('the server ends it', ended))).toBe('25P03')
  client.release(true)
  await closePool(pool, GRACE_MS)
})

test('who gets no connection is told in time', async () => {
  const pool = openPool(world.admin, { ...DEFAULT_LIMITS, max: 1, acquireMs: 500 }, 'full')
  const client = await pool.connect()
  expect((await errorOf(pool.query('select 1'))).message).toContain('timeout')
  client.release()
  await closePool(pool, GRACE_MS)
})

test('the configuration serves a pool of the user', async () => {
  const pool = new pg.Pool(poolConfig(world.admin, { ...DEFAULT_LIMITS, max: 2 }, 'mine'))
  await Promise.all([1, 2, 3, 4].map(() => pool.query('select pg_sleep(0.01)')))
  expect(pool.totalCount).toBe(2)
  expect(await sessions('mine')).toBe(2)
  await pool.end()
})

test('the configuration serves a Knex of the user, with the same caps', async () => {
  const create = fromPackages('knex') as (config: Knex.Config) => Knex
  const knex = create(
    knexConfig(world.admin, { ...DEFAULT_LIMITS, max: 2, acquireMs: 200, statementMs: 1234 }, 'my knex', packagesRoot),
  )
  const { rows } = await knex.raw(
    `select current_setting('statement_timeout') as statement, current_setting('application_name') as name`,
  )
  expect(rows).toEqual([{ statement: '1234ms', name: 'my knex' }])
  const held = await Promise.all([knex.transaction(), knex.transaction()])
  expect((await errorOf(knex.raw('select 1').then())).name).toContain('Timeout')
  await Promise.all(held.map((transaction) => transaction.rollback()))
  await knex.destroy()
  await gone('my knex')
})

test('Knex is the one of the project, and its lack is told', async () => {
  const knex = openKnex(packagesRoot, knexConfig(world.admin, DEFAULT_LIMITS, 'opened', packagesRoot))
  expect((await knex.raw('select 1 as one')).rows).toEqual([{ one: 1 }])
  await closeKnex(knex, 60_000)
  expect(await sessions('opened')).toBe(0)
  expect(() => openKnex('/', {})).toThrow('TESTDB_PEER_MISSING')
})

test('a transaction that was never ended does not hold the close of Knex up', async () => {
  const knex = openKnex(packagesRoot, knexConfig(world.admin, DEFAULT_LIMITS, 'leaky knex', packagesRoot))
  const transaction = await knex.transaction()
  await transaction.raw('select 1')
  await within('it is closed', closeKnex(knex, GRACE_MS), 5_000)
  // What stays is ended by the next reset.
  await transaction.rollback()
  await gone('leaky knex')
})

test('the limit of a database is two pools and four', () => {
  expect(connectionLimit(10)).toBe(24)
})

test('the connection that was used last is used first, so that those of a burst become idle and go', async () => {
  const pool = openPool(world.admin, DEFAULT_LIMITS, 'last first')
  const clients = await Promise.all([1, 2, 3].map(() => pool.connect()))
  const pids: number[] = []
  for (const client of clients) {
    pids.push((await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0)
  }
  for (const client of clients) client.release()
  const next = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  expect(next.rows[0]?.pid).toBe(pids[2])
  await closePool(pool, GRACE_MS)

  const knex = openKnex(packagesRoot, knexConfig(world.admin, DEFAULT_LIMITS, 'last first', packagesRoot))
  const pidOf = async (on: Knex): Promise<number> => (await on.raw('select pg_backend_pid() as pid')).rows[0].pid
  const transactions = await Promise.all([1, 2, 3].map(() => knex.transaction()))
  const used = await Promise.all(transactions.map(pidOf))
  for (const transaction of transactions) await transaction.rollback()
  expect(await pidOf(knex)).toBe(used[2])
  await closeKnex(knex, GRACE_MS)
})

test('a Knex that can replaces connections after their lifetime; an older one is not given what it refuses', () => {
  const config = (root: string): Knex.PoolConfig | undefined =>
    knexConfig(world.admin, { ...DEFAULT_LIMITS, lifetimeMs: 1234 }, 'old', root).pool
  expect(config(packagesRoot)).toHaveProperty('maxConnectionLifetimeMillis', 1234)
  expect(config('/nowhere')).not.toHaveProperty('maxConnectionLifetimeMillis')
})
