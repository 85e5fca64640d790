/** A histogram of milliseconds, on the one of Node. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

export interface Durations {
  readonly count: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** It counts integers from 1 on, here microseconds. */
const PER_MS = 1_000

export class DurationHistogram {
  readonly #histogram: RecordableHistogram = createHistogram()

  record(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * PER_MS)))
  }

  get(): Durations {
    const { count, max } = this.#histogram
    const at = (percentile: number): number => (count === 0 ? 0 : this.#histogram.percentile(percentile) / PER_MS)
    return { count, p50Ms: at(50), p95Ms: at(95), p99Ms: at(99), maxMs: count === 0 ? 0 : max / PER_MS }
  }

  reset(): void {
    this.#histogram.reset()
  }
}
