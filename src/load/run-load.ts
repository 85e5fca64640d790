/** A load test of a service, on `autocannon`, that watches the pools of the service meanwhile. */
import type { Options, Request, Result } from 'autocannon'
import { monitorPool, type PoolMonitor } from '../pools/index.ts'
import { loadPeer } from '../pools/peer.ts'
import { missedOf } from './criteria.ts'
import { checkLoadOptions, type LoadOptions, type LoadRequest } from './options.ts'
import type { LoadErrors, LoadResult, PoolLoad } from './result.ts'

type Autocannon = (options: Options, done: (error: unknown, result: Result) => void) => unknown

/** It ends, and counts, in such steps (ms). */
const SAMPLE_MS = 100

/**
 * Sends requests over many connections and tells how the service and its pools took it. It asserts nothing: hand the result to
 * `assertLoad()`, or look at `missed`. The load is made in a thread of its own, on the same machine.
 *
 * Pools of this process are watched. Of a service in another process, watch them there with `monitorPool()`.
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once; TESTDB_PEER_MISSING without `autocannon`
 * @example
 * import { assertLoad, runLoad } from 'testdb/load'
 *
 * const result = await runLoad({
 *   url: 'http://127.0.0.1:3000',
 *   connections: 100,
 *   durationMs: 10_000,
 *   requests: [{ path: '/orders' }, { method: 'POST', path: '/orders', body: { article: 7 } }],
 *   pools: [pool],
 *   criteria: { minRequestsPerSecond: 1_000, maxP99Ms: 500, maxErrors: 0, maxPoolUtilisation: 0.8 },
 * })
 * assertLoad(result)
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  checkLoadOptions(options)
  const autocannon = loadPeer('autocannon', 'runLoad() needs', 'npm i -D autocannon') as Autocannon
  const monitors: PoolMonitor[] = []
  try {
    for (const pool of options.pools ?? []) monitors.push(monitorPool(pool))
    const result = await fire(autocannon, options)
    return summarise(options, result, monitors)
  } finally {
    for (const monitor of monitors) monitor.stop()
  }
}

function fire(autocannon: Autocannon, options: LoadOptions): Promise<Result> {
  const {
    url,
    connections = 10,
    pipelining = 1,
    durationMs = 10_000,
    amount,
    timeoutMs = 10_000,
    workers = 1,
  } = options
  const given: Options = {
    ...{ url, connections, pipelining, sampleInt: SAMPLE_MS, timeout: timeoutMs / 1000 },
    ...(amount === undefined ? { duration: durationMs / 1000 } : { amount }),
    ...(options.headers && { headers: { ...options.headers } }),
    ...(options.requests && { requests: options.requests.map(requestOf) }),
    ...(workers > 0 && { workers }),
  }
  return new Promise((resolve, reject) => {
    autocannon(given, (error, result) => (error ? reject(error) : resolve(result)))
  })
}

function requestOf({ method = 'GET', path, headers = {}, body }: LoadRequest): Request {
  const json = body !== undefined && typeof body !== 'string'
  return {
    method,
    headers: { ...(json && { 'content-type': 'application/json' }), ...headers },
    ...(path !== undefined && { path }),
    ...(body !== undefined && { body: json ? JSON.stringify(body) : (body as string) }),
  }
}

function summarise(options: LoadOptions, result: Result, monitors: readonly PoolMonitor[]): LoadResult {
  const { url, connections = 10, pipelining = 1, criteria = {} } = options
  const seconds = Math.max(result.duration, SAMPLE_MS / 1000)
  const summary = {
    ...{ url, connections, pipelining },
    durationMs: Math.round(seconds * 1000),
    requests: result.requests.total,
    requestsPerSecond: Math.round(result.requests.total / seconds),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    maxMs: result.latency.max,
    errors: errorsOf(result),
    pools: monitors.map(poolLoad),
  }
  return { ...summary, missed: missedOf(summary, criteria) }
}

function errorsOf(result: Result): LoadErrors {
  const { errors, timeouts, non2xx } = result
  const codes = (result as { readonly statusCodeStats?: Readonly<Record<string, { readonly count?: number }>> })
    .statusCodeStats
  const others = Object.entries(codes ?? {}).filter(([code]) => !code.startsWith('2'))
  return {
    total: errors + non2xx,
    ...{ non2xx, timeouts, connections: errors - timeouts },
    statusCodes: Object.fromEntries(others.map(([code, { count = 0 }]) => [code, count])),
  }
}

function poolLoad(monitor: PoolMonitor): PoolLoad {
  const { pool, max, peak, acquires, slowest } = monitor.snapshot()
  return {
    ...{ pool, max, slowest },
    peakInUse: peak.inUse,
    peakUtilisation: peak.utilisation,
    peakWaiting: peak.waiting,
    acquireP99Ms: acquires.p99Ms,
    acquireTimeouts: acquires.timeouts,
  }
}
