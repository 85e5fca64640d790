import { assertLoad, runLoad } from 'testdb/load'
import { test } from 'vitest'
import { headers, requests } from './requests.js'
import { openShop } from './shop.js'

/** 60 s against the numbers of production; without it 5 s against those that do not depend on the machine. */
const full = process.env.LOAD_FULL === '1'

test(`100 connections, pipelining 5, ${full ? '60' : '5'} seconds`, async () => {
  const shop = await openShop()
  try {
    const result = await runLoad({
      ...{ url: shop.url, headers, requests, pools: [shop.pool] },
      connections: 100,
      pipelining: 5,
      durationMs: full ? 60_000 : 5_000,
      criteria: {
        maxErrors: 0,
        maxPoolUtilisation: 0.8,
        ...(full && { minRequestsPerSecond: 1_000, maxP99Ms: 500 }),
      },
    })
    const [pool] = result.pools
    console.log(
      `${result.requestsPerSecond} requests per second, p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms, ` +
        `${result.errors.total} errors, at most ${pool.peakInUse} of ${pool.max} connections in use`,
    )
    assertLoad(result)
  } finally {
    await shop.close()
  }
})
