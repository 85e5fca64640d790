/** When a number of a pool is worth a word: thresholds, and the window that decides when it is back to normal. */
import {
  ACQUIRE_WAIT_MS,
  CONNECTIONS_PERCENT,
  type Threshold as Common,
  QUERY_MS,
  TIMEOUT_PERCENT,
} from '../../thresholds.ts'

export type AlertLevel = 'warning' | 'critical'
export type AlertMetric = 'connections' | 'acquireWait' | 'query' | 'acquireTimeouts'

/** [warning, critical] */
export type Threshold = readonly [warning: number, critical: number]

const levels = ({ warning, critical }: Common, of = 1): Threshold => [warning / of, critical / of]

export const DEFAULT_THRESHOLDS = {
  /** Part of the pool's connections that is in use. */
  connections: levels(CONNECTIONS_PERCENT, 100),
  /** Milliseconds that somebody waits for a connection. */
  acquireWaitMs: levels(ACQUIRE_WAIT_MS),
  /** Milliseconds that a statement takes. */
  queryMs: levels(QUERY_MS),
  /** Part of the acquires of the window that ended with a time limit. */
  acquireTimeouts: levels(TIMEOUT_PERCENT, 100),
} as const satisfies Record<string, Threshold>

export type Thresholds = { readonly [T in keyof typeof DEFAULT_THRESHOLDS]: Threshold }

const LEVELS = [undefined, 'warning', 'critical'] as const
type Height = 0 | 1 | 2

/**
 * The level of one metric: the highest of what happened in the window. It rises at once, and `observe` says so; it falls when
 * nothing as high has happened for a window, so what swings around a threshold is told once.
 */
export class Level {
  readonly #threshold: Threshold
  readonly #windowMs: number
  #height: Height = 0
  /** When it was last as high as warning, and critical. */
  #last: [number, number] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]

  constructor(threshold: Threshold, windowMs: number) {
    this.#threshold = threshold
    this.#windowMs = windowMs
  }

  get threshold(): Threshold {
    return this.#threshold
  }

  /** What it has risen to with this value; undefined when it has not. `now`: of a clock that only goes forward (ms). */
  observe(value: number, now: number): AlertLevel | undefined {
    this.#fall(now)
    const [warning, critical] = this.#threshold
    const height: Height = value >= critical ? 2 : value >= warning ? 1 : 0
    if (height >= 1) this.#last[0] = now
    if (height === 2) this.#last[1] = now
    if (height <= this.#height) return undefined
    this.#height = height
    return LEVELS[height]
  }

  current(now: number): AlertLevel | 'normal' {
    this.#fall(now)
    return LEVELS[this.#height] ?? 'normal'
  }

  #fall(now: number): void {
    const [warning, critical] = this.#last
    const height: Height = now - critical <= this.#windowMs ? 2 : now - warning <= this.#windowMs ? 1 : 0
    if (height < this.#height) this.#height = height
  }
}

const SLICES = 60

/** How many acquires the window had, and how many of them ended with a time limit; remembered in 60 slices of it. */
export class TimeoutRate {
  readonly #sliceMs: number
  readonly #minSamples: number
  #slices: { at: number; acquires: number; timeouts: number }[] = []

  constructor(windowMs: number, minSamples: number) {
    this.#sliceMs = windowMs / SLICES
    this.#minSamples = minSamples
  }

  add(timedOut: boolean, now: number): void {
    const at = Math.floor(now / this.#sliceMs)
    let last = this.#slices.at(-1)
    if (last?.at !== at) {
      last = { at, acquires: 0, timeouts: 0 }
      this.#slices = [...this.#slices.filter((slice) => slice.at > at - SLICES), last]
    }
    last.acquires++
    if (timedOut) last.timeouts++
  }

  /** Undefined below the smallest sample that says anything. */
  rate(now: number): number | undefined {
    const at = Math.floor(now / this.#sliceMs)
    let [acquires, timeouts] = [0, 0]
    for (const slice of this.#slices) {
      if (slice.at <= at - SLICES) continue
      acquires += slice.acquires
      timeouts += slice.timeouts
    }
    return acquires >= this.#minSamples ? timeouts / acquires : undefined
  }
}
