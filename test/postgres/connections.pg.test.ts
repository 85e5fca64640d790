/** What is known of the connections to a database: how many pools of this process have them, and who holds them on the server. */
import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countPools, Session, takeCensus, watchPools } from '../../src/postgres/index.ts'
import { fromPackages } from '../helpers/packages.ts'
import { eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

const count = (): number => countPools(world.admin.database, world.admin.port)

test('pools with a connection are counted as long as they have one, each once', async () => {
  watchPools()
  watchPools()
  const [one, two, unused] = [1, 2, 3].map(() => new pg.Pool(world.admin as pg.PoolConfig)) as [
    pg.Pool,
    pg.Pool,
    pg.Pool,
  ]
  expect(count()).toBe(0)
  await Promise.all([one.query('select 1'), one.query('select 1'), two.query('select 1')])
  expect(count()).toBe(2)
  expect(countPools('another', world.admin.port)).toBe(0)
  expect(countPools(world.admin.database, 1)).toBe(0)
  await one.end()
  expect(count()).toBe(1)
  await Promise.all([two.end(), unused.end()])
  expect(count()).toBe(0)
})

test('another copy of the pool, once it is loaded, and Knex', async () => {
  const path = fromPackages.resolve('pg-pool')
  const loaded = fromPackages.cache[path]
  delete fromPackages.cache[path]
  const Pool = fromPackages('pg-pool') as typeof pg.Pool
  expect(Pool.prototype).not.toBe(Object.getPrototypeOf(pg.Pool.prototype))
  const create = fromPackages('knex') as (config: Knex.Config) => Knex
  watchPools()
  const pool = new Pool(world.admin as pg.PoolConfig)
  const knex = create({ client: 'pg', connection: world.admin as Knex.PgConnectionConfig, pool: { min: 0, max: 2 } })
  await pool.query('select 1')
  expect(count()).toBe(1)
  await knex.raw('select 1')
  expect(count()).toBe(2)
  await Promise.all([pool.end(), knex.destroy()])
  expect(count()).toBe(0)
  if (loaded) fromPackages.cache[path] = loaded
})

test('who holds connections, by name; and how many there may be', async () => {
  const name = `census_${randomBytes(4).toString('hex')}`
  await world.session.query(`create database ${name} connection limit 7`)
  const open = (applicationName: string): Promise<Session> =>
    Session.open({ ...world.admin, database: name }, { applicationName })
  const sessions = await Promise.all([open('a'), open('a'), open('b')])
  await sessions[2]?.query('select 42 as answer')
  const seen = await eventually('all are there', async () => {
    const { holders, serverLimit } = await takeCensus(world.session)
    const here = holders.filter(({ database }) => database === name)
    return here.length === 2 ? { here, serverLimit } : undefined
  })
  expect(seen.here).toMatchObject([
    { applicationName: 'a', connections: 2, limit: 7 },
    { applicationName: 'b', connections: 1, limit: 7, query: 'select 42 as answer' },
  ])
  expect(seen.here[1]?.idleSeconds).toBeGreaterThanOrEqual(0)
  // 300 of the server, 3 of them for superusers.
  expect(seen.serverLimit).toBe(297)
  for (const session of sessions) await session.close()
  await world.session.query(`drop database ${name} with (force)`)
})
