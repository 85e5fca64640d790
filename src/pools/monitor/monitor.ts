/** Watches a pool of an application, or of a test. */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearInterval, setInterval } from 'node:timers'
import { wrongArgument } from '../settings.ts'
import type { Durations } from './durations.ts'
import { knexPoolOf } from './knex-source.ts'
import { LogLine } from './log-line.ts'
import { type MetricsRegistry, MONITOR_PAGE, type MonitorOptions, readMonitorOptions } from './options.ts'
import { isPgPool, pgSource } from './pg-source.ts'
import { expose, ownRegistry } from './prometheus.ts'
import type { SlowStatement } from './slow-statements.ts'
import type { PoolSource } from './source.ts'
import type { AlertLevel, AlertMetric } from './thresholds.ts'
import { PoolWatch, rounded } from './watch.ts'

/** Plain data; times in milliseconds, all since the beginning of the watch. */
export interface PoolSnapshot {
  readonly pool: string
  /** Connections at most. */
  readonly max: number
  readonly inUse: number
  readonly idle: number
  /** Requests for a connection that is not there. */
  readonly waiting: number
  /** Part of `max` that is in use, from 0 to 1. */
  readonly utilisation: number
  readonly peak: { readonly inUse: number; readonly waiting: number; readonly utilisation: number }
  /** From the request for a connection to its answer; `errors` got none, `timeouts` of them because of the time limit. */
  readonly acquires: Durations & {
    readonly errors: number
    readonly timeouts: number
    readonly longestWaitingMs: number
  }
  readonly statements: Durations & { readonly running: number; readonly slow: number }
  /** The slowest ones above the warning threshold, ten at most. */
  readonly slowest: readonly SlowStatement[]
  /** Connections that were ended by the server or the network. */
  readonly lostConnections: number
  readonly levels: Readonly<Record<AlertMetric, AlertLevel | 'normal'>>
}

export interface PoolMonitor extends Disposable {
  readonly pool: string
  snapshot(): PoolSnapshot
  /** The text for Prometheus of all pools of the registry. Rejected with TESTDB_PEER_MISSING without `prom-client`. */
  metrics(): Promise<string>
  /** Ends the watch and leaves the pool as it was; `snapshot()` still answers. It ends by itself with the pool. */
  stop(): void
}

/** How often it is looked at what has no event (ms): who still waits, what still runs. */
const CHECK_MS = 250

/**
 * Watches a `pg.Pool` or a Knex instance: connections in use, idle and waited for, how long that takes, time limits, slow statements.
 *
 * Nothing of the pool changes: what it gives, throws and calls back is the same. It listens for the end of connections, which without
 * a listener ends the process. It does not keep the process alive. Knex: call it again after `knex.initialize()`; with
 * `connectionPool` give it that pool. Statements of cursors and streams are not timed.
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once; TESTDB_PEER_MISSING with `prometheus`, without `prom-client`
 * @example
 * import { createPool, monitorPool } from 'testdb/pools'
 *
 * const pool = createPool({ applicationName: 'api' })
 * const monitor = monitorPool(pool, { logger: console, logEveryMs: 60_000 })
 * await pool.query('select 1')
 * console.log(monitor.snapshot().acquires.p99Ms)
 * await pool.end()
 */
export function monitorPool(pool: object, options: MonitorOptions = {}): PoolMonitor {
  const source = sourceOf(pool)
  if (!source) throw wrongArgument('monitorPool', 'pool', 'a pg.Pool or a Knex instance', pool, MONITOR_PAGE)
  const settings = readMonitorOptions(options)
  const { name = source.applicationName ?? 'pool', prometheus, logger, logEveryMs } = settings
  const watch = new PoolWatch(name, source, settings)
  let registry: MetricsRegistry | undefined
  let hide: (() => void) | undefined
  const show = (given: MetricsRegistry): void => {
    hide = expose(watch, given)
    registry = given
  }
  if (prometheus) show(prometheus === true ? ownRegistry() : prometheus)
  const unwatch = source.watch(watch)
  const timers = [
    setInterval(() => {
      if (source.ended()) stop()
      else watch.check()
    }, CHECK_MS),
  ]
  if (logEveryMs !== undefined) {
    const line = new LogLine(watch)
    timers.push(setInterval(() => logger.info(line.next()), logEveryMs))
  }
  for (const timer of timers) timer.unref()
  let watching = true
  const stop = (): void => {
    if (!watching) return
    watching = false
    for (const timer of timers) clearInterval(timer)
    unwatch()
    hide?.()
  }
  return {
    pool: name,
    snapshot: () => snapshotOf(watch),
    async metrics() {
      if (!registry) show(ownRegistry())
      return (await registry?.metrics()) ?? ''
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** Undefined for what is neither a pool of `pg` nor a Knex instance with a pool of its own. */
function sourceOf(pool: unknown): PoolSource | undefined {
  if ((typeof pool !== 'object' && typeof pool !== 'function') || pool === null) return undefined
  return knexPoolOf(pool) ?? (isPgPool(pool) ? pgSource(pool) : undefined)
}

function snapshotOf(watch: PoolWatch): PoolSnapshot {
  const { source, peak } = watch
  const counts = source.counts()
  return {
    pool: watch.pool,
    max: source.max,
    ...counts,
    utilisation: counts.inUse / source.max,
    peak: { ...peak, utilisation: peak.inUse / source.max },
    acquires: {
      ...rounded(watch.waits.get()),
      ...{ errors: watch.errors, timeouts: watch.timeouts, longestWaitingMs: Math.round(watch.longestWaitMs) },
    },
    statements: { ...rounded(watch.queries.get()), running: watch.running, slow: watch.slow.count },
    slowest: watch.slow.list().map((one) => ({ ...one, maxMs: Math.round(one.maxMs) })),
    lostConnections: watch.outage.lost,
    levels: watch.levels,
  }
}
