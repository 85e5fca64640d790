/** From where on something is worth a word: those of the pool monitor and of `testdb status`. */
export type Severity = 'ok' | 'warning' | 'critical'

export interface Threshold {
  readonly warning: number
  readonly critical: number
}

export const THRESHOLDS = {
  /** Of the limit (%). */
  connections: { warning: 80, critical: 95 },
  /** For a connection of a pool (ms). */
  acquire: { warning: 1_000, critical: 5_000 },
  /** One statement (ms). */
  query: { warning: 1_000, critical: 5_000 },
  /** For the lock of migrations, or for another process that builds the template (ms). */
  lock: { warning: 30_000, critical: 60_000 },
} as const satisfies Record<string, Threshold>

export function severityOf(value: number, { warning, critical }: Threshold): Severity {
  return value >= critical ? 'critical' : value >= warning ? 'warning' : 'ok'
}

/** Of connections against their limit; none is never too many. */
export function severityOfShare(used: number, limit: number | null | undefined): Severity {
  if (limit === null || limit === undefined || limit <= 0) return 'ok'
  return severityOf((used / limit) * 100, THRESHOLDS.connections)
}
