import { runLoad } from 'testdb/load'
import { createPool, expectConnections } from 'testdb/pools'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headers, requests } from './requests.js'
import { openShop } from './shop.js'

const REQUESTS = 10_000

let shop
let observer
beforeAll(async () => {
  shop = await openShop()
  observer = createPool({ max: 1, applicationName: 'observer' })
})
afterAll(async () => {
  await shop.close()
  await observer.end()
})

/** Sessions of the API, as the server counts them, and those of them that are inside a statement or a transaction. */
async function sessions() {
  const { rows } = await observer.query(
    `select count(*)::int as open, count(*) filter (where state <> 'idle')::int as busy
       from pg_stat_activity where application_name = 'shop'`,
  )
  return rows[0]
}

test(`the connections are flat over ${REQUESTS} requests, the auth middleware included`, async () => {
  const counts = []
  let running = true
  const counting = (async () => {
    while (running) {
      counts.push((await sessions()).open)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  // A wrong token takes the other way out of the middleware.
  const result = await runLoad({
    ...{ url: shop.url, connections: 50, amount: REQUESTS, pools: [shop.pool] },
    requests: [
      ...requests.map((request) => ({ ...request, headers })),
      { path: '/orders', headers: { authorization: 'Bearer nobody' } },
    ],
  })
  running = false
  await counting

  expect(result.requests).toBe(REQUESTS)
  expect(result.errors.statusCodes).toEqual({ 401: REQUESTS / 4 })
  expect(result.errors).toMatchObject({ timeouts: 0, connections: 0 })
  // Never more than may work at once, from the first request to the last.
  expect(Math.max(...counts)).toBeLessThanOrEqual(8)
  expect(result.pools[0]).toMatchObject({ peakInUse: 8, acquireTimeouts: 0 })
  expect(await sessions()).toEqual({ open: 8, busy: 0 })
  expect(shop.pool.idleCount).toBe(shop.pool.totalCount)
})

test('a request takes one connection', async () => {
  const order = () => fetch(`${shop.url}/orders`, { headers })
  const response = await expectConnections(order, { max: 1 })
  expect(response.status).toBe(200)
})
