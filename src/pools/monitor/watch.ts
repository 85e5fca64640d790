/** What is known of a watched pool: numbers, levels, slow statements. It hears of everything and disturbs nothing. */
import { type RunningStatement, shownStatement, timeStatements } from '../../postgres/index.ts'
import { DurationHistogram, type Durations } from './durations.ts'
import type { MonitorSettings, PoolAlert } from './options.ts'
import { Outage } from './outage.ts'
import { SlowStatements } from './slow-statements.ts'
import type { PoolListener, PoolSource, Request } from './source.ts'
import { type AlertMetric, Level, TimeoutRate } from './thresholds.ts'

/** Gets each duration as it is measured; for metrics and log lines. */
export interface Observer {
  waited(ms: number): void
  queried(ms: number): void
}

/** The text is made when it is needed: thousands of values cross nothing. */
type Said = Pick<PoolAlert, 'value' | 'statement'> & { what(): string }

export class PoolWatch implements PoolListener {
  readonly pool: string
  readonly source: PoolSource
  readonly waits = new DurationHistogram()
  readonly queries = new DurationHistogram()
  readonly slow = new SlowStatements()
  readonly outage: Outage
  readonly peak = { inUse: 0, waiting: 0 }
  timeouts = 0
  errors = 0
  readonly observers = new Set<Observer>()
  readonly #settings: MonitorSettings
  readonly #levels: Readonly<Record<AlertMetric, Level>>
  readonly #rate: TimeoutRate
  /** In the order of their beginning: the first has waited, or runs, for longest. */
  readonly #requests = new Set<Request>()
  readonly #running = new Set<RunningStatement>()
  readonly #statements = new Map<object, () => void>()

  constructor(pool: string, source: PoolSource, settings: MonitorSettings) {
    const { thresholds, windowMs, minSamples, logger } = settings
    this.pool = pool
    this.source = source
    this.outage = new Outage(pool, logger)
    this.#settings = settings
    this.#rate = new TimeoutRate(windowMs, minSamples)
    this.#levels = {
      connections: new Level(thresholds.connections, windowMs),
      acquireWait: new Level(thresholds.acquireWaitMs, windowMs),
      query: new Level(thresholds.queryMs, windowMs),
      acquireTimeouts: new Level(thresholds.acquireTimeouts, windowMs),
    }
  }

  get running(): number {
    return this.#running.size
  }

  get levels(): Readonly<Record<AlertMetric, ReturnType<Level['current']>>> {
    const now = performance.now()
    const { connections, acquireWait, query, acquireTimeouts } = this.#levels
    return {
      connections: connections.current(now),
      acquireWait: acquireWait.current(now),
      query: query.current(now),
      acquireTimeouts: acquireTimeouts.current(now),
    }
  }

  /** Milliseconds that the oldest request waits already. */
  get longestWaitMs(): number {
    const [oldest] = this.#requests
    return oldest ? performance.now() - oldest.since : 0
  }

  requested(): Request {
    const request = { since: performance.now() }
    this.#requests.add(request)
    this.outage.wanted(request)
    return request
  }

  granted(request: Request): void {
    this.#answered(request, false)
    this.outage.granted(request)
  }

  failed(request: Request, error: unknown): void {
    const timedOut = isTimeout(error)
    if (timedOut) this.timeouts++
    this.errors++
    this.#answered(request, timedOut)
  }

  taken(): void {
    this.#count()
  }

  opened(connection: object): void {
    const listener = {
      begun: (statement: RunningStatement) => void this.#running.add(statement),
      ended: (statement: RunningStatement) => this.#ended(statement),
    }
    this.#statements.set(connection, timeStatements(connection, listener))
  }

  closed(connection: object): void {
    this.#statements.get(connection)?.()
    this.#statements.delete(connection)
  }

  lost(error: Error): void {
    this.outage.begin(error)
  }

  /** Looks at what has no event: who still waits, what still runs. */
  check(): void {
    this.#count()
    const [statement] = this.#running
    if (statement) this.#queryLevel(statement)
    if (this.#requests.size > 0) this.#waitLevel(this.longestWaitMs)
  }

  #answered(request: Request, timedOut: boolean): void {
    const now = performance.now()
    const ms = now - request.since
    this.#requests.delete(request)
    this.waits.record(ms)
    for (const observer of this.observers) observer.waited(ms)
    this.#waitLevel(ms)
    this.#rate.add(timedOut, now)
    const rate = timedOut ? this.#rate.rate(now) : undefined
    if (rate === undefined) return
    const what = (): string =>
      `${percent(rate)} of the acquires of the last ${this.#settings.windowMs / 1000} s ended with the time limit`
    this.#observe('acquireTimeouts', { value: rate, what })
  }

  #ended(statement: RunningStatement): void {
    const ms = performance.now() - statement.since
    this.#running.delete(statement)
    this.queries.record(ms)
    for (const observer of this.observers) observer.queried(ms)
    if (ms >= this.#settings.thresholds.queryMs[0]) this.slow.add(statement.text, ms)
    this.#queryLevel(statement)
  }

  #count(): void {
    const { inUse, waiting } = this.source.counts()
    this.peak.inUse = Math.max(this.peak.inUse, inUse)
    this.peak.waiting = Math.max(this.peak.waiting, waiting)
    const what = (): string => `${inUse} of ${this.source.max} connections are in use, ${waiting} wait for one`
    this.#observe('connections', { value: inUse / this.source.max, what })
  }

  #waitLevel(ms: number): void {
    this.#observe('acquireWait', { value: ms, what: () => `somebody waits ${inWords(ms)} for a connection` })
  }

  #queryLevel({ text, since }: RunningStatement): void {
    const value = performance.now() - since
    if (value < this.#settings.thresholds.queryMs[0]) return
    const statement = shownStatement(text)
    this.#observe('query', { value, statement, what: () => `a statement takes ${inWords(value)}: ${statement}` })
  }

  #observe(metric: AlertMetric, { what, ...said }: Said): void {
    const level = this.#levels[metric].observe(said.value, performance.now())
    if (!level) return
    const threshold = this.#levels[metric].threshold[level === 'warning' ? 0 : 1]
    const message = `testdb: pool "${this.pool}" (${level}): ${what()}`
    this.#settings.logger[level === 'warning' ? 'warn' : 'error'](message)
    this.#settings.onAlert({ pool: this.pool, metric, level, threshold, ...said, message })
  }
}

/** What a snapshot says of a histogram, rounded: nobody reads nanoseconds. */
export function rounded(durations: Durations): Durations {
  const round = (ms: number): number => Math.round(ms * 100) / 100
  const { count, p50Ms, p95Ms, p99Ms, maxMs } = durations
  return { count, p50Ms: round(p50Ms), p95Ms: round(p95Ms), p99Ms: round(p99Ms), maxMs: round(maxMs) }
}

/** Of the driver's pool, of tarn, and of a connection that is not made in time; they have no codes, and no names. */
const isTimeout = (error: unknown): boolean =>
  error instanceof Error && /timed out|timeout exceeded|connection timeout|Timeout acquiring/i.test(error.message)

const percent = (part: number): string => `${Math.round(part * 1000) / 10} %`
const inWords = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`)
