/** What is expected of a service under load, and what it missed. */
import { TestDbError } from '../errors.ts'
import type { LoadCriteria, LoadResult, MissedCriterion } from './result.ts'

/** In the order in which to look at them: an empty pool makes requests slow, and slow requests become errors. */
export function missedOf(result: Omit<LoadResult, 'missed'>, criteria: LoadCriteria): MissedCriterion[] {
  const { minRequestsPerSecond, maxP99Ms, maxErrors, maxPoolUtilisation } = criteria
  const missed: MissedCriterion[] = []
  for (const pool of result.pools) {
    if (maxPoolUtilisation === undefined || pool.peakUtilisation <= maxPoolUtilisation) continue
    const message =
      `pool "${pool.pool}": ${pool.peakInUse} of ${pool.max} connections (${percent(pool.peakUtilisation)}) were in use at the peak, ` +
      `expected were ${percent(maxPoolUtilisation)} at most; ${pool.peakWaiting} requests waited for one. Look at what holds them: ` +
      'a connection that is taken before it is needed, or not given back; let fewer requests work at once (limitPerKey()).'
    missed.push({ criterion: 'maxPoolUtilisation', expected: maxPoolUtilisation, got: pool.peakUtilisation, message })
  }
  const { errors } = result
  if (maxErrors !== undefined && errors.total > maxErrors) {
    const codes = Object.entries(errors.statusCodes).map(([code, count]) => `${count} × ${code}`)
    const message =
      `${errors.total} errors, expected were ${maxErrors} at most: ${errors.non2xx} answers other than 2xx` +
      `${codes.length > 0 ? ` (${codes.join(', ')})` : ''}, ${errors.timeouts} timeouts, ${errors.connections} broken connections. ` +
      `Look at the log of the service${acquireTimeouts(result)}.`
    missed.push({ criterion: 'maxErrors', expected: maxErrors, got: errors.total, message })
  }
  if (maxP99Ms !== undefined && result.p99Ms > maxP99Ms) {
    const message = `p99 ${result.p99Ms} ms, expected were ${maxP99Ms} ms at most (p50 ${result.p50Ms} ms). Look at ${whatIsSlow(result)}.`
    missed.push({ criterion: 'maxP99Ms', expected: maxP99Ms, got: result.p99Ms, message })
  }
  if (minRequestsPerSecond !== undefined && result.requestsPerSecond < minRequestsPerSecond) {
    const message =
      `${result.requestsPerSecond} requests per second, expected were ${minRequestsPerSecond} at least. ` +
      `Look at ${whatIsSlow(result)}, and at the CPUs: the load is made on this machine, too.`
    const got = result.requestsPerSecond
    missed.push({ criterion: 'minRequestsPerSecond', expected: minRequestsPerSecond, got, message })
  }
  return missed
}

/**
 * Throws when the load test missed a criterion: each with its number, what was expected, and what to look at next.
 *
 * @throws TESTDB_LOAD_MISSED (`details.missed`)
 * @example
 * assertLoad(await runLoad({ url, pools: [pool], criteria: { maxErrors: 0, maxP99Ms: 500 } }))
 */
export function assertLoad(result: LoadResult): void {
  const { missed, url } = result
  if (missed.length === 0) return
  const criteria = missed.length === 1 ? '1 criterion' : `${missed.length} criteria`
  const lines = missed.map(({ message }) => `\n  ${message}`).join('')
  throw new TestDbError('TESTDB_LOAD_MISSED', `${url} missed ${criteria}${lines}`, { details: { missed, result } })
}

function acquireTimeouts({ pools }: Omit<LoadResult, 'missed'>): string {
  const timedOut = pools.filter((pool) => pool.acquireTimeouts > 0)
  const each = timedOut.map((pool) => `${pool.acquireTimeouts} in pool "${pool.pool}"`)
  return timedOut.length > 0 ? `, and at the requests for a connection that met the time limit: ${each.join(', ')}` : ''
}

/** Waiting for a connection, a statement, or neither. */
function whatIsSlow({ pools, p99Ms }: Omit<LoadResult, 'missed'>): string {
  const crowded = pools.find((pool) => pool.acquireP99Ms > p99Ms / 2)
  if (crowded) return `pool "${crowded.pool}": p99 of waiting for a connection is ${crowded.acquireP99Ms} ms`
  const slow = pools.flatMap((pool) => pool.slowest)[0]
  if (slow) return `a statement that takes ${slow.maxMs} ms: ${slow.statement}`
  return 'what the service does beside its statements, which are quick'
}

const percent = (part: number): string => `${Math.round(part * 1000) / 10} %`
