import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import knex, { type Knex } from 'knex'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runLoad } from '../../src/load/index.ts'
import { createPool } from '../../src/pools/index.ts'
import { formatUrl } from '../../src/postgres/index.ts'
import { World } from '../helpers/world.ts'

let world: World
let pool: pg.Pool
let db: Knex
let server: Server
let url: string
const seen: string[] = []

async function read(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

beforeAll(async () => {
  world = await World.create()
  const connectionString = formatUrl(world.admin)
  pool = createPool({ connectionString, max: 4, applicationName: 'api' })
  db = knex({ client: 'pg', connection: { connectionString, application_name: 'orm' }, pool: { min: 0, max: 4 } })
  server = createServer(async (request, response) => {
    const body = await read(request)
    seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${body}`)
    if (request.url === '/pg') await pool.query('select pg_sleep(0.005)')
    if (request.url === '/knex') await db.raw('select 1')
    response.statusCode = request.url === '/missing' ? 404 : 200
    response.end('done')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await pool.end()
  await db.destroy()
  await world.close()
})

test('throughput, latency, errors, and how the pools took it', async () => {
  const result = await runLoad({
    ...{ url, connections: 8, amount: 320, pools: [pool, db] },
    headers: { authorization: 'Bearer t' },
    requests: [
      { path: '/pg' },
      { path: '/knex' },
      { path: '/missing' },
      { method: 'POST', path: '/pg', body: { n: 1 } },
    ],
    criteria: { maxErrors: 80, maxPoolUtilisation: 0.5 },
  })
  expect(result).toMatchObject({ url, connections: 8, pipelining: 1, requests: 320 })
  expect(result.errors).toEqual({ total: 80, non2xx: 80, timeouts: 0, connections: 0, statusCodes: { 404: 80 } })
  expect(result.requestsPerSecond).toBeGreaterThan(0)
  expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms)
  expect(result.pools.map((one) => [one.pool, one.max])).toEqual([
    ['api', 4],
    ['orm', 4],
  ])
  expect(result.pools[0]).toMatchObject({ peakInUse: 4, peakUtilisation: 1, acquireTimeouts: 0 })
  expect(result.missed.map(({ criterion, got }) => [criterion, got])).toContainEqual(['maxPoolUtilisation', 1])
  expect(new Set(seen)).toEqual(
    new Set([...['GET /pg Bearer t ', 'GET /knex Bearer t ', 'GET /missing Bearer t '], 'POST /pg Bearer t {"n":1}']),
  )
})

test('a duration, in this thread, and a service that is not there', async () => {
  const short = await runLoad({ url, durationMs: 500, workers: 0, pipelining: 2 })
  expect(short.errors.total).toBe(0)
  expect(short.requests).toBeGreaterThan(0)
  expect(short.durationMs).toBeGreaterThanOrEqual(500)
  const nobody = await runLoad({ url: 'http://127.0.0.1:1', durationMs: 200, criteria: { maxErrors: 0 } })
  expect(nobody.requests).toBe(0)
  expect(nobody.missed[0]?.message).toMatch(/broken connections/)
})
