/** From where on a number is a warning, and from where on critical. The same wherever testdb judges (DESIGN 7). */

export interface Threshold {
  readonly warning: number
  readonly critical: number
}

export type Severity = 'ok' | 'warning' | 'critical'

/** Connections in use, of their limit. */
export const CONNECTIONS_PERCENT = { warning: 80, critical: 95 } as const satisfies Threshold
/** Waiting for a connection of a pool. */
export const ACQUIRE_WAIT_MS = { warning: 1_000, critical: 5_000 } as const satisfies Threshold
/** One statement. */
export const QUERY_MS = { warning: 1_000, critical: 5_000 } as const satisfies Threshold
/** Waiting for the lock of a migration tool. */
export const MIGRATION_WAIT_MS = { warning: 30_000, critical: 60_000 } as const satisfies Threshold
/** Acquires of a pool that ran out of time, of all. */
export const TIMEOUT_PERCENT = { warning: 1, critical: 5 } as const satisfies Threshold

export function severityOf(value: number, { warning, critical }: Threshold): Severity {
  if (value >= critical) return 'critical'
  return value >= warning ? 'warning' : 'ok'
}

/** Of connections against their limit; none is never too many. */
export function severityOfShare(used: number, limit: number | null | undefined): Severity {
  if (limit === null || limit === undefined || limit <= 0) return 'ok'
  return severityOf((used / limit) * 100, CONNECTIONS_PERCENT)
}
