import { expect, test } from 'vitest'
import { missedOf } from '../../src/load/criteria.ts'
import { assertLoad, type LoadCriteria, type LoadResult, type PoolLoad, runLoad } from '../../src/load/index.ts'
import { errorOf } from '../helpers/wait.ts'

const pool: PoolLoad = {
  ...{ pool: 'api', max: 10, peakInUse: 10, peakUtilisation: 1, peakWaiting: 412 },
  ...{ acquireP99Ms: 700, acquireTimeouts: 3, slowest: [] },
}
const result: LoadResult = {
  ...{ url: 'http://127.0.0.1:3000', connections: 100, pipelining: 5, durationMs: 10_000 },
  ...{ requests: 9_000, requestsPerSecond: 900, p50Ms: 200, p99Ms: 800, maxMs: 900 },
  errors: { total: 7, non2xx: 4, timeouts: 2, connections: 1, statusCodes: { 500: 4 } },
  pools: [pool],
  missed: [],
}
const all: LoadCriteria = { minRequestsPerSecond: 1_000, maxP99Ms: 500, maxErrors: 0, maxPoolUtilisation: 0.8 }

test('each criterion that was missed has its number, what was expected, and what to look at next', () => {
  const missed = missedOf(result, all)
  expect(missed.map(({ criterion, expected, got }) => [criterion, expected, got])).toEqual([
    ['maxPoolUtilisation', 0.8, 1],
    ['maxErrors', 0, 7],
    ['maxP99Ms', 500, 800],
    ['minRequestsPerSecond', 1_000, 900],
  ])
  expect(missed.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      /^pool "api": 10 of 10 connections \(100 %\) .* 80 % at most; 412 requests waited for one\. Look at/,
    ),
    '7 errors, expected were 0 at most: 4 answers other than 2xx (4 × 500), 2 timeouts, 1 broken connections. ' +
      'Look at the log of the service, and at the requests for a connection that met the time limit: 3 in pool "api".',
    'p99 800 ms, expected were 500 ms at most (p50 200 ms). Look at pool "api": p99 of waiting for a connection is 700 ms.',
    expect.stringMatching(/^900 requests per second, expected were 1000 at least\. Look at pool "api"/),
  ])
})

test('what is met, and what is not asked for, is not missed', () => {
  expect(missedOf(result, {})).toEqual([])
  expect(missedOf(result, { minRequestsPerSecond: 900, maxP99Ms: 800, maxErrors: 7, maxPoolUtilisation: 1 })).toEqual(
    [],
  )
})

test('where nobody waits for a connection it is a statement, or neither', () => {
  const slowest = [{ statement: 'select ?', count: 2, maxMs: 1_200 }]
  const look = (one: Partial<PoolLoad>): string | undefined =>
    missedOf({ ...result, pools: [{ ...pool, acquireP99Ms: 1, ...one }] }, { maxP99Ms: 1 })[0]?.message
  expect(look({ slowest })).toContain('Look at a statement that takes 1200 ms: select ?.')
  expect(look({})).toContain('Look at what the service does beside its statements')
})

test('assertLoad throws with all of them', async () => {
  expect(() => assertLoad(result)).not.toThrow()
  const missed = missedOf(result, all)
  const error = await errorOf(Promise.resolve().then(() => assertLoad({ ...result, missed })))
  expect(error).toMatchObject({ code: 'TESTDB_LOAD_MISSED', details: { missed } })
  expect(error.message).toContain('http://127.0.0.1:3000 missed 4 criteria\n  pool "api": 10 of 10')
})

test('every wrong option at once', async () => {
  const options = {
    ...{ url: 'localhost:3000', connections: 0, duration: 5, amount: 3, pools: {}, workers: -1 },
    criteria: { maxErrors: -1, p99: 3 },
  }
  const error = await errorOf(runLoad(options as never))
  expect(error).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
  expect(error.details?.problems).toHaveLength(7)
  const without = await errorOf(runLoad({ url: 'http://x', criteria: { maxPoolUtilisation: 0.8 } }))
  expect(without.message).toContain('criteria.maxPoolUtilisation: expected pools beside it, got none')
})
