/** The same promises for a `pg.Pool` and for Knex, on a real server. */
import knex, { type Knex } from 'knex'
import pg from 'pg'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createPool, type MonitorOptions, monitorPool, type PoolAlert } from '../../src/pools/index.ts'
import { formatUrl } from '../../src/postgres/index.ts'
import { collect, errorOf, eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
let connectionString: string
beforeAll(async () => {
  world = await World.create()
  connectionString = formatUrl(world.admin)
})
afterAll(() => world.close())

/** What both kinds of pools can be asked for. */
interface Subject {
  readonly pool: object
  query(sql: string): Promise<unknown>
  /** Takes a connection; returns what gives it back. */
  take(): Promise<() => Promise<unknown> | unknown>
  end(): Promise<unknown>
}

interface Limits {
  readonly max: number
  readonly acquireMs: number
}

const kinds: Record<string, (name: string, limits: Limits) => Subject> = {
  pg: (name, { max, acquireMs }) => {
    const pool = new pg.Pool({
      ...{ connectionString, application_name: name },
      ...{ max, connectionTimeoutMillis: acquireMs },
    })
    return {
      pool,
      query: (sql) => pool.query(sql),
      take: async () => {
        const client = await pool.connect()
        return () => client.release()
      },
      end: () => pool.end(),
    }
  },
  knex: (name, { max, acquireMs }) => {
    const db: Knex = knex({
      client: 'pg',
      connection: { connectionString, application_name: name },
      pool: { min: 0, max },
      acquireConnectionTimeout: acquireMs,
      log: { warn: () => undefined },
    })
    return {
      pool: db,
      // A promise: Knex's own thing does nothing until somebody waits for it.
      query: async (sql) => await db.raw(sql),
      take: async () => {
        const trx = await db.transaction()
        return () => trx.rollback()
      },
      end: () => db.destroy(),
    }
  },
}

/** Never crossed, on however slow a machine. */
const quiet = { connections: [2, 2], acquireWaitMs: [60_000, 60_000], queryMs: [60_000, 60_000] } as const

const lines: string[] = []
const logger = {
  info: (line: string) => void lines.push(`info ${line}`),
  warn: (line: string) => void lines.push(`warn ${line}`),
  error: (line: string) => void lines.push(`error ${line}`),
}
const ended: (() => unknown)[] = []
afterEach(async () => {
  lines.length = 0
  for (const end of ended.splice(0)) await end()
})

describe.each(Object.entries(kinds))('%s', (kind, make) => {
  function watched(options: MonitorOptions = {}, limits: Partial<Limits> = {}) {
    const subject = make(`${kind} pool`, { max: 4, acquireMs: 10_000, ...limits })
    ended.push(() => subject.end())
    const alerts: PoolAlert[] = []
    const monitor = monitorPool(subject.pool, { onAlert: (alert) => void alerts.push(alert), ...options })
    return { ...subject, monitor, alerts }
  }
  const told = (alerts: readonly PoolAlert[]): string[] => alerts.map(({ metric, level }) => `${metric} ${level}`)

  test('counts what is in use, idle and waited for, and how long that took', async () => {
    const { monitor, take, query } = watched()
    const held = await Promise.all([take(), take(), take(), take()])
    expect(monitor.snapshot()).toMatchObject({ pool: `${kind} pool`, max: 4, inUse: 4, idle: 0, utilisation: 1 })
    const late = query('select 1')
    await eventually('one waits', () => monitor.snapshot().waiting === 1)
    await eventually('for 20 ms', () => monitor.snapshot().acquires.longestWaitingMs >= 20)
    for (const give of held) await give()
    await late
    const { acquires, statements, ...now } = monitor.snapshot()
    expect(now).toMatchObject({ inUse: 0, idle: 4, waiting: 0, peak: { inUse: 4, utilisation: 1 }, lostConnections: 0 })
    expect(acquires).toMatchObject({ count: 5, errors: 0, timeouts: 0, longestWaitingMs: 0 })
    expect(acquires.maxMs).toBeGreaterThanOrEqual(20)
    expect(acquires.p50Ms).toBeLessThanOrEqual(acquires.p99Ms)
    expect(statements.count).toBeGreaterThanOrEqual(1)
    expect(statements.running).toBe(0)
  })

  test('a full pool is told once, warning and critical', async () => {
    const { monitor, alerts, take } = watched({ thresholds: { ...quiet, connections: [0.5, 1] }, logger })
    const held = [await take(), await take()]
    expect(told(alerts)).toEqual(['connections warning'])
    held.push(await take(), await take())
    for (const give of held.splice(0)) await give()
    held.push(await take(), await take(), await take(), await take())
    expect(told(alerts)).toEqual(['connections warning', 'connections critical'])
    expect(alerts[1]).toMatchObject({ pool: `${kind} pool`, value: 1, threshold: 1 })
    expect(lines).toEqual([
      `warn testdb: pool "${kind} pool" (warning): 2 of 4 connections are in use, 0 wait for one`,
      `error testdb: pool "${kind} pool" (critical): 4 of 4 connections are in use, 0 wait for one`,
    ])
    expect(monitor.snapshot().levels).toMatchObject({ connections: 'critical', query: 'normal' })
    for (const give of held) await give()
  })

  test('who waits and what runs is told while it lasts; statements without their literals', async () => {
    const thresholds = { ...quiet, acquireWaitMs: [50, 60_000], queryMs: [50, 60_000] } as const
    const { monitor, alerts, query, take } = watched({ thresholds }, { max: 1 })
    const held = await take()
    const slow = query(`select pg_sleep(0.6), 'a secret' as note`)
    await eventually('the waiting is told', () => told(alerts).includes('acquireWait warning'))
    await eventually('it waits', () => monitor.snapshot().waiting === 1)
    await held()
    await eventually('the statement is told', () => told(alerts).includes('query warning'))
    expect(monitor.snapshot().statements.running).toBe(1)
    await slow
    expect(alerts.find(({ metric }) => metric === 'query')).toMatchObject({
      statement: 'select pg_sleep(?), ? as note',
    })
    await query(`select pg_sleep(0.1), 'x' as password`)
    expect(told(alerts)).toHaveLength(2)
    expect(monitor.snapshot().slowest.map(({ statement, count }) => [statement, count])).toEqual([
      ['select pg_sleep(?), ? as note', 1],
      ['(a statement that mentions a password)', 1],
    ])
    expect(JSON.stringify(monitor.snapshot())).not.toContain('secret')
  })

  test('time limits are told from the smallest sample on', async () => {
    const options = { minSamples: 10, thresholds: { ...quiet, acquireTimeouts: [0.2, 0.5] } } as const
    const { monitor, alerts, query, take } = watched(options, { max: 1, acquireMs: 1_000 })
    for (let i = 0; i < 6; i++) await query('select 1')
    const held = await take()
    await Promise.all([errorOf(query('select 1')), errorOf(query('select 1'))])
    expect(told(alerts)).toEqual([])
    await errorOf(query('select 1'))
    expect(told(alerts)).toEqual(['acquireTimeouts warning'])
    expect(alerts[0]).toMatchObject({ value: 0.3, threshold: 0.2 })
    await held()
    expect(monitor.snapshot().acquires).toMatchObject({ count: 10, errors: 3, timeouts: 3 })
  })

  test('idle connections that the server ends: nothing crashes, it is counted, told once, and told when it is over', async () => {
    const { monitor, take, query } = watched({ logger, thresholds: quiet })
    using recovered = collect('connection.recovered')
    const held = await Promise.all([take(), take(), take()])
    for (const give of held) await give()
    await world.session.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = '${kind} pool'`,
    )
    await eventually('all three are lost', () => monitor.snapshot().lostConnections === 3)
    expect(recovered.events).toEqual([])
    await query('select 1')
    await query('select 1')
    const what = `pool "${kind} pool"`
    const cause = 'terminating connection due to administrator command'
    expect(recovered.events).toEqual([{ what, cause, downMs: expect.any(Number) }])
    expect(lines).toEqual([
      `warn testdb: ${what}: a connection was ended: ${cause}`,
      expect.stringMatching(
        `info testdb: ${what} has connections again after \\d+ ms; lost were 3 connections: ${cause}`,
      ),
    ])
  })

  test('metrics for Prometheus, several pools in one registry', async () => {
    const registry = new Registry()
    const one = watched({ prometheus: registry, name: 'one' })
    const two = watched({ prometheus: registry, name: 'two' })
    await one.query('select 1')
    const held = await two.take()
    const text = await registry.metrics()
    expect(await one.monitor.metrics()).toBe(text)
    expect(text).toContain('testdb_pool_connections_in_use{pool="one"} 0\n')
    expect(text).toContain('testdb_pool_connections_in_use{pool="two"} 1\n')
    expect(text).toContain('testdb_pool_connections_idle{pool="one"} 1\n')
    expect(text).toContain('testdb_pool_connections_max{pool="one"} 4\n')
    expect(text).toContain('testdb_pool_acquire_wait_seconds_bucket{le="+Inf",pool="one"} 1\n')
    expect(text).toContain('testdb_pool_statement_duration_seconds_count{pool="one"} 1\n')
    expect(text).toContain('testdb_pool_acquire_timeouts_total{pool="two"} 0\n')
    await held()
    two.monitor.stop()
    expect(await registry.metrics()).not.toContain('pool="two"')
    expect(await watched().monitor.metrics()).toContain(`testdb_pool_waiting_requests{pool="${kind} pool"} 0\n`)
  })

  test('a line with the numbers since the last one', async () => {
    const { query } = watched({ logger, logEveryMs: 100, thresholds: quiet })
    await query('select 1')
    const start = `info testdb: pool "${kind} pool": 0 of 4 in use, 1 idle, 0 waiting; `
    const idle = `${start}0 acquires, p99 0 ms, 0 timeouts; 0 statements, p99 0 ms, slowest 0 ms`
    await eventually('a line without anything new', () => lines.includes(idle))
    expect(lines.filter((line) => line.includes('; 1 acquires, p99 '))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('; 1 statements, p99 '))).toHaveLength(1)
  })

  test('stop leaves the pool as it was, and the end of the pool is the end of the watch', async () => {
    const { pool, monitor, query, end } = watched({ logger, logEveryMs: 20, thresholds: quiet })
    await query('select 1')
    const other = monitorPool(pool, { name: 'other' })
    await query('select 1')
    other[Symbol.dispose]()
    await query('select 1')
    monitor.stop()
    await query('select 1')
    expect([monitor, other].map((one) => one.snapshot().acquires.count)).toEqual([3, 1])
    expect(Object.hasOwn(pool, 'connect')).toBe(false)
    if (pool instanceof pg.Pool) {
      // Others of this process may watch all pools.
      const unwatched = make('unwatched', { max: 1, acquireMs: 1_000 })
      await unwatched.query('select 1')
      const counts = (of: object) =>
        ['acquire', 'connect', 'remove', 'error'].map((event) => (of as pg.Pool).listenerCount(event))
      expect(counts(pool)).toEqual(counts(unwatched.pool))
      await unwatched.end()
    }
    const last = monitorPool(pool, { logger, logEveryMs: 20 })
    await end()
    ended.pop()
    ended.push(() => undefined)
    expect(last.snapshot()).toMatchObject({ inUse: 0, waiting: 0 })
    await eventually('it has ended itself', () => {
      const before = lines.length
      return new Promise((resolve) => setTimeout(() => resolve(lines.length === before), 100))
    })
  })

  test('a listener that throws breaks nothing', async () => {
    const fail = (): never => {
      throw new Error('oops')
    }
    const warnings: string[] = []
    const onWarning = ({ message }: Error): void => void warnings.push(message)
    process.on('warning', onWarning)
    const thresholds = { connections: [0.1, 0.2] } as const
    const { query } = watched({ onAlert: fail, logger: { info: fail, warn: fail, error: fail }, thresholds })
    await query('select 1')
    await eventually('it is a warning', () => warnings.length >= 2)
    process.removeListener('warning', onWarning)
    expect(warnings[0]).toBe('a listener of monitorPool() has thrown: oops')
  })
})

test('what a watched pool of pg gives and throws is the same in every form', async () => {
  const pool = createPool({ connectionString, max: 2 })
  ended.push(() => pool.end())
  using monitor = monitorPool(pool)
  const client = await pool.connect()
  const called = new Promise((resolve) => client.query('select 1 as one', (_error, result) => resolve(result.rows)))
  const withValues = new Promise((resolve) =>
    client.query('select $1::int as n', [2], (_error, result) => resolve(result.rows)),
  )
  const inside = new Promise((resolve) =>
    client.query({
      text: 'select 3 as n',
      callback: (_error: unknown, { rows }: pg.QueryResult) => resolve(rows),
    } as never),
  )
  const submitted = new Promise((resolve) =>
    client.query(new pg.Query('select 4 as n')).on('end', (result) => resolve(result.rowCount)),
  )
  expect(await Promise.all([called, withValues, inside, submitted])).toEqual([[{ one: 1 }], [{ n: 2 }], [{ n: 3 }], 1])
  expect((await client.query({ text: 'select 5 as n', rowMode: 'array' })).rows).toEqual([[5]])
  expect(await errorOf(client.query('select nothing'))).toMatchObject({ code: '42703' })
  client.release()
  const taken = await new Promise<pg.PoolClient>((resolve) =>
    pool.connect((_error, one) => resolve(one as pg.PoolClient)),
  )
  taken.release()
  expect(await new Promise((resolve) => pool.query('select 6 as n', (_e, { rows }) => resolve(rows)))).toEqual([
    { n: 6 },
  ])
  expect(await errorOf(pool.query('select nothing'))).toMatchObject({ code: '42703' })
  expect(monitor.snapshot().statements).toMatchObject({ count: 6, running: 0 })
  expect(monitor.snapshot().acquires).toMatchObject({ count: 4, errors: 0 })
})

test('the watch does not keep the process alive', async () => {
  const pool = createPool({ connectionString, max: 1 })
  ended.push(() => pool.end())
  const before = process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
  using _ = monitorPool(pool, { logger, logEveryMs: 60_000 })
  expect(process.getActiveResourcesInfo().filter((one) => one === 'Timeout')).toHaveLength(before)
})

test('an error that nobody handles stays one', async () => {
  const pool = createPool({ connectionString, max: 1 })
  ended.push(() => pool.end())
  using _ = monitorPool(pool)
  const client = await pool.connect()
  const before = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  const unhandled = new Promise((resolve) => process.once('unhandledRejection', resolve))
  client.query('select nothing')
  expect(await unhandled).toMatchObject({ code: '42703' })
  for (const listener of before) process.on('unhandledRejection', listener)
  client.release()
})
