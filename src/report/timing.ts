/** Statistics of durations. */
import type { Timing } from './run-report.ts'

export function timingOf(durations: readonly number[]): Timing {
  const sorted = [...durations].sort((a, b) => a - b)
  const at = (share: number): number | null => {
    const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
    return value === undefined ? null : round(value)
  }
  const totalMs = round(sorted.reduce((sum, one) => sum + one, 0))
  return { count: sorted.length, totalMs, medianMs: at(0.5), p95Ms: at(0.95), maxMs: at(1) }
}

/** Hundredths of a millisecond. */
export const round = (ms: number): number => Math.round(ms * 100) / 100
