import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool } from '../../src/pools/index.ts'
import { within } from '../helpers/wait.ts'
import { LockLab } from './lab.ts'

const SIZE = 10

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
afterAll(() => lab.close())

test('the usual helper: with one pool for lock and work, as many calls as connections hang until the time is over', async () => {
  const acquireMs = 500
  const pool = new pg.Pool({ connectionString: lab.url, max: SIZE, connectionTimeoutMillis: acquireMs })
  const warm = await Promise.all(Array.from({ length: SIZE }, () => pool.connect()))
  for (const client of warm) client.release()
  const withLock = async <T>(key: number, fn: () => Promise<T>): Promise<T> => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query('select pg_advisory_xact_lock($1)', [key])
      const value = await fn()
      await client.query('commit')
      return value
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }
  // All have their lock, on all connections, before anybody works.
  const waited: number[] = []
  let holding = 0
  let allHold = (): void => undefined
  const everybody = new Promise<void>((resolve) => {
    allHold = resolve
  })
  const calls = Array.from({ length: SIZE }, (_, key) =>
    withLock(key, async () => {
      if (++holding === SIZE) allHold()
      await everybody
      const since = performance.now()
      await pool.query('select 1').finally(() => waited.push(performance.now() - since))
    }),
  )
  const results = await Promise.allSettled(calls)
  // Nobody gets on before somebody has given up; whoever gives up last may find a connection of one who gave up first.
  expect(Math.min(...waited)).toBeGreaterThan(acquireMs * 0.95)
  const errors = results.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
  expect(new Set(errors)).toEqual(new Set(['Error: timeout exceeded when trying to connect']))
  await pool.end()
})

test('with locks of their own 200 at once, each with two nested locks and work in it, all come to their end', async () => {
  const locks = lab.locks({ max: SIZE, applicationName: 'busy' })
  const pool = createPool({ connectionString: lab.url, max: SIZE, applicationName: 'work' })
  let most = 0
  const work = async (): Promise<number> => {
    most = Math.max(most, locks.stats().inUse)
    const { rows } = await pool.query<{ one: number }>('select 1 as one')
    return rows[0]?.one ?? 0
  }
  const call = (i: number): Promise<number> =>
    locks.withXactLock({
      key: `tenant ${i % 20}`,
      fn: async () =>
        (await work()) +
        (await locks.withXactLock({
          key: `order ${i}`,
          fn: async () => (await work()) + (await locks.withXactLock({ key: `line ${i % 20}`, fn: work })),
        })),
    })
  const values = await within('all have ended', Promise.all(Array.from({ length: 200 }, (_, i) => call(i))), 40_000)
  expect(values).toEqual(Array.from({ length: 200 }, () => 3))
  expect(most).toBe(SIZE)
  await pool.end()
})

test('a busy key takes one connection, so that the others have theirs', async () => {
  const locks = lab.locks({ max: 2, connectionTimeoutMs: 5_000 })
  const other = lab.locks({ applicationName: 'the holder' })
  const lock = await other.tryAcquire('busy')
  const waiting = Array.from({ length: 20 }, () => locks.withXactLock({ key: 'busy', fn: () => 1 }))
  await lab.waits(1)
  expect(await locks.withXactLock({ key: 'quiet', fn: () => 'had' })).toBe('had')
  expect(await lab.count(false)).toBe(1)
  await lock?.release()
  expect(await Promise.all(waiting)).toHaveLength(20)
})
