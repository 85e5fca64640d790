/** Options of `monitorPool()`, with every mistake at once. */
import { messageOf } from '../../errors.ts'
import { invalidOptions, MOST_MS, show } from '../settings.ts'
import { type AlertLevel, type AlertMetric, DEFAULT_THRESHOLDS, type Threshold, type Thresholds } from './thresholds.ts'

/** `console`, pino, winston: whatever has these. */
export interface MonitorLogger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** A registry of `prom-client`. */
export interface MetricsRegistry {
  metrics(): Promise<string>
  readonly contentType: string
}

/** A threshold was crossed. */
export interface PoolAlert {
  /** The name of the pool. */
  readonly pool: string
  readonly metric: AlertMetric
  readonly level: AlertLevel
  /** A part from 0 to 1 of `connections` and `acquireTimeouts`, milliseconds of `acquireWait` and `query`. */
  readonly value: number
  /** In the same unit. */
  readonly threshold: number
  /** The statement of `query`: shortened, without literals. */
  readonly statement?: string
  /** For people, one line. */
  readonly message: string
}

export interface MonitorOptions {
  /** What alerts, log lines and metrics call the pool. @default its `application_name`, or 'pool' */
  readonly name?: string | undefined
  /**
   * [warning, critical] for `connections` (part of the pool's limit in use, @default [0.8, 0.95]), `acquireWaitMs` (milliseconds that
   * somebody waits for a connection, @default [1000, 5000]), `queryMs` (milliseconds of a statement, @default [1000, 5000]) and
   * `acquireTimeouts` (part of the acquires of the window, @default [0.01, 0.05]).
   */
  readonly thresholds?: Partial<Thresholds> | undefined
  /** Milliseconds that count for `acquireTimeouts`, and without a crossing until a metric is back to normal. @default 60000 */
  readonly windowMs?: number | undefined
  /** Acquires in the window below which `acquireTimeouts` says nothing. @default 100 */
  readonly minSamples?: number | undefined
  /** Called once for each crossing; again only after the metric was back to normal, or when it becomes critical. */
  readonly onAlert?: ((alert: PoolAlert) => void) | undefined
  /** Gets alerts, and connections that were lost and are back. @default nothing is logged */
  readonly logger?: MonitorLogger | undefined
  /** Milliseconds between two lines with the numbers of the pool, 60000 for one a minute; needs `logger`. @default none */
  readonly logEveryMs?: number | undefined
  /** Counts for Prometheus from the beginning, in this registry or in one of its own (true). @default from the first `metrics()` on */
  readonly prometheus?: true | MetricsRegistry | undefined
}

export interface MonitorSettings extends Pick<MonitorOptions, 'name' | 'logEveryMs' | 'prometheus'> {
  readonly thresholds: Thresholds
  readonly windowMs: number
  readonly minSamples: number
  readonly logger: MonitorLogger
  onAlert(alert: PoolAlert): void
}

export const MONITOR_PAGE = 'docs/pools.md'
const KNOWN = [
  ...['name', 'thresholds', 'windowMs', 'minSamples'],
  ...['onAlert', 'logger', 'logEveryMs', 'prometheus'],
]

/** Watching must break nothing: what a listener of the application throws is a warning of the process. */
function guarded<A extends unknown[]>(listener: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    try {
      listener(...args)
    } catch (error) {
      process.emitWarning(`a listener of monitorPool() has thrown: ${messageOf(error)}`, { type: 'TestDbWarning' })
    }
  }
}

/** Throws `TESTDB_CONFIG_INVALID`. */
export function readMonitorOptions(options: MonitorOptions): MonitorSettings {
  const problems: string[] = []
  const given = (options ?? {}) as Readonly<Record<string, unknown>>
  const wrong = (key: string, wanted: string, value: unknown): void =>
    void problems.push(`${key}: expected ${wanted}, got ${show(value)}`)
  for (const key of Object.keys(given)) {
    if (!KNOWN.includes(key)) problems.push(`${key}: unknown option; accepted: ${KNOWN.join(', ')}`)
  }
  const integer = (key: string, most: number): void => {
    const value = given[key]
    if (value === undefined || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most)) return
    wrong(key, `an integer from 1 to ${most}`, value)
  }
  integer('windowMs', MOST_MS)
  integer('logEveryMs', MOST_MS)
  integer('minSamples', 1_000_000)
  if (given.name !== undefined && (typeof given.name !== 'string' || given.name === ''))
    wrong('name', 'a text that is not empty', given.name)
  if (given.onAlert !== undefined && typeof given.onAlert !== 'function') wrong('onAlert', 'a function', given.onAlert)
  if (given.logger !== undefined && !hasMethods(given.logger, ['info', 'warn', 'error']))
    wrong('logger', 'an object with info(), warn() and error(), such as console', given.logger)
  if (given.logEveryMs !== undefined && given.logger === undefined)
    problems.push('logEveryMs: expected a logger beside it, got none')
  if (given.prometheus !== undefined && given.prometheus !== true && !hasMethods(given.prometheus, ['metrics']))
    wrong('prometheus', 'true or a Registry of prom-client', given.prometheus)
  const thresholds = readThresholds(given.thresholds, wrong)
  if (problems.length > 0) throw invalidOptions('monitorPool', problems, MONITOR_PAGE)
  const { name, logEveryMs, prometheus, windowMs = 60_000, minSamples = 100, logger } = options
  return {
    ...{ name, logEveryMs, prometheus, windowMs, minSamples, thresholds },
    onAlert: guarded((alert) => options.onAlert?.(alert)),
    logger: {
      info: guarded((message) => logger?.info(message)),
      warn: guarded((message) => logger?.warn(message)),
      error: guarded((message) => logger?.error(message)),
    },
  }
}

function readThresholds(given: unknown, wrong: (key: string, wanted: string, value: unknown) => void): Thresholds {
  if (given === undefined) return DEFAULT_THRESHOLDS
  if (typeof given !== 'object' || given === null) {
    wrong('thresholds', 'an object such as { queryMs: [500, 2000] }', given)
    return DEFAULT_THRESHOLDS
  }
  for (const [key, value] of Object.entries(given)) {
    if (!(key in DEFAULT_THRESHOLDS)) wrong(`thresholds.${key}`, Object.keys(DEFAULT_THRESHOLDS).join(', '), value)
    else if (value !== undefined && !isThreshold(value)) {
      wrong(`thresholds.${key}`, '[warning, critical], two positive numbers, the second not below the first', value)
    }
  }
  const known = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...DEFAULT_THRESHOLDS, ...Object.fromEntries(known) }
}

function isThreshold(value: unknown): value is Threshold {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [warning, critical] = value as unknown[]
  return typeof warning === 'number' && typeof critical === 'number' && warning > 0 && critical >= warning
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  const methods = value as Readonly<Record<string, unknown>> | null
  return typeof value === 'object' && value !== null && names.every((name) => typeof methods?.[name] === 'function')
}
