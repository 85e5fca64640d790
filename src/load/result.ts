/** What is expected of a load test, and what it gives. */
import type { SlowStatement } from '../pools/index.ts'

export interface LoadCriteria {
  /** Answered requests per second at least. */
  readonly minRequestsPerSecond?: number
  /** Milliseconds that 99 of 100 requests may take at most. */
  readonly maxP99Ms?: number
  /** Requests that got no answer, a late one, or one other than 2xx; 0: none. */
  readonly maxErrors?: number
  /** Part of the connections of each watched pool that may be in use at the peak, from 0 to 1. */
  readonly maxPoolUtilisation?: number
}

export interface MissedCriterion {
  readonly criterion: keyof LoadCriteria
  readonly expected: number
  readonly got: number
  /** For people: the numbers, and what to look at next. */
  readonly message: string
}

/** A pool that was watched meanwhile. */
export interface PoolLoad {
  readonly pool: string
  /** Connections at most. */
  readonly max: number
  readonly peakInUse: number
  /** Part of `max`, from 0 to 1. */
  readonly peakUtilisation: number
  /** Requests that waited for a connection at the same time. */
  readonly peakWaiting: number
  /** Milliseconds from the request for a connection to its answer. */
  readonly acquireP99Ms: number
  readonly acquireTimeouts: number
  readonly slowest: readonly SlowStatement[]
}

export interface LoadErrors {
  readonly total: number
  /** Answers other than 2xx. */
  readonly non2xx: number
  /** Requests without an answer in time. */
  readonly timeouts: number
  /** Connections that were refused or broken. */
  readonly connections: number
  /** How often each status other than 2xx was answered. */
  readonly statusCodes: Readonly<Record<string, number>>
}

/** Plain data, times in milliseconds. */
export interface LoadResult {
  readonly url: string
  readonly connections: number
  readonly pipelining: number
  readonly durationMs: number
  /** Answered requests. */
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly errors: LoadErrors
  readonly pools: readonly PoolLoad[]
  /** Criteria that were not met; empty when all is well. */
  readonly missed: readonly MissedCriterion[]
}
