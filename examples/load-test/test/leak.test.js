import { assertLoad, runLoad } from 'testdb/load'
import { monitorPool } from 'testdb/pools'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headers, requests } from './requests.js'

/** Each 10th request keeps its connection: after 100 of them the pool is empty. */
const LEAK_EVERY = 10

let shop
const out = new Set()
beforeAll(async () => {
  process.env.LOAD_LEAK_EVERY = `${LEAK_EVERY}`
  // Not before: the middleware reads the variable when it is loaded.
  const { openShop } = await import('./shop.js')
  shop = await openShop({ connectionTimeoutMs: 1_000 })
  shop.pool.on('acquire', (client) => out.add(client))
  shop.pool.on('release', (_error, client) => out.delete(client))
})
afterAll(async () => {
  for (const client of out) client.release(true)
  await shop.close()
})

test('a leak in the middleware is noticed: by the monitor, by the load test', async () => {
  const alerts = []
  const monitor = monitorPool(shop.pool, { onAlert: ({ metric, level }) => alerts.push(`${metric} ${level}`) })
  const result = await runLoad({
    ...{ url: shop.url, headers, requests, pools: [shop.pool], connections: 10, amount: 140 },
    criteria: { maxErrors: 0, maxPoolUtilisation: 0.8 },
  })
  // Full, although nobody works any more.
  expect(monitor.snapshot()).toMatchObject({ inUse: 10, idle: 0, utilisation: 1 })
  expect(monitor.snapshot().acquires.timeouts).toBeGreaterThan(0)
  monitor.stop()
  expect(alerts).toEqual(expect.arrayContaining(['connections critical', 'acquireTimeouts critical']))
  expect(result.missed.map(({ criterion }) => criterion)).toEqual(['maxPoolUtilisation', 'maxErrors'])
  expect(() => assertLoad(result)).toThrow(
    /pool "shop": 10 of 10 connections \(100 %\) were in use at the peak, expected were 80 % at most; .*not given back/,
  )
})
