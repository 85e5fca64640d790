/** The numbers of watched pools for Prometheus, by `prom-client`, an optional peer that is loaded when metrics are asked for. */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { loadPeer } from '../peer.ts'
import type { MetricsRegistry } from './options.ts'
import type { PoolWatch } from './watch.ts'

type PromClient = typeof import('prom-client')

/** Of waits and statements alike: from what nobody notices to what people give up on. */
const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const LABELS = ['pool'] as const
type Label = 'pool'

interface Metrics {
  readonly watches: Set<PoolWatch>
  readonly waits: Histogram<Label>
  readonly queries: Histogram<Label>
}

/** On the registry itself: several copies of this file, and several pools, may share one. */
const METRICS = Symbol.for('testdb.metrics')

/** Throws `TESTDB_PEER_MISSING`. */
export function ownRegistry(): MetricsRegistry {
  return new (loadPromClient().Registry)()
}

/** Adds a pool to the metrics of a registry; returns what removes it. Throws `TESTDB_PEER_MISSING`. */
export function expose(watch: PoolWatch, registry: MetricsRegistry): () => void {
  const shared = registry as MetricsRegistry & { [METRICS]?: Metrics }
  shared[METRICS] ??= createMetrics(loadPromClient(), registry as unknown as Registry)
  const { watches, waits, queries } = shared[METRICS]
  const labels = { pool: watch.pool }
  watches.add(watch)
  waits.zero(labels)
  queries.zero(labels)
  const observer = {
    waited: (ms: number) => waits.observe(labels, ms / 1000),
    queried: (ms: number) => queries.observe(labels, ms / 1000),
  }
  watch.observers.add(observer)
  return () => {
    watch.observers.delete(observer)
    watches.delete(watch)
    // Another pool may have the same name.
    if ([...watches].some(({ pool }) => pool === watch.pool)) return
    waits.remove(labels)
    queries.remove(labels)
  }
}

function createMetrics({ Counter, Gauge, Histogram }: PromClient, registry: Registry): Metrics {
  const watches = new Set<PoolWatch>()
  const registers = [registry]
  const histogram = (name: string, help: string): Histogram<Label> =>
    new Histogram({ name, help, labelNames: LABELS, buckets: BUCKETS_SECONDS, registers })
  const live = (Metric: typeof Gauge | typeof Counter, name: string, help: string, of: (one: PoolWatch) => number) => {
    const collect = function (this: Gauge<Label> | Counter<Label>): void {
      this.reset()
      for (const watch of watches) this.inc({ pool: watch.pool }, of(watch))
    }
    return new Metric({ name, help, labelNames: LABELS, registers, collect })
  }
  const gauge = live.bind(undefined, Gauge)
  const counter = live.bind(undefined, Counter)
  gauge('testdb_pool_connections_in_use', 'Connections that somebody has.', (one) => one.source.counts().inUse)
  gauge('testdb_pool_connections_idle', 'Connections that nobody uses.', (one) => one.source.counts().idle)
  gauge('testdb_pool_connections_max', 'Connections that the pool may have.', (one) => one.source.max)
  gauge('testdb_pool_waiting_requests', 'Requests that wait for a connection.', (one) => one.source.counts().waiting)
  counter('testdb_pool_acquire_timeouts_total', 'Requests that met the time limit.', (one) => one.timeouts)
  counter('testdb_pool_acquire_errors_total', 'Requests that got no connection.', (one) => one.errors)
  counter('testdb_pool_slow_statements_total', 'Statements over the warning threshold.', (one) => one.slow.count)
  counter('testdb_pool_lost_connections_total', 'Connections that the server has ended.', (one) => one.outage.lost)
  return {
    watches,
    waits: histogram('testdb_pool_acquire_wait_seconds', 'Time from the request for a connection to its answer.'),
    queries: histogram('testdb_pool_statement_duration_seconds', 'Time from a statement to its end.'),
  }
}

const loadPromClient = (): PromClient =>
  loadPeer('prom-client', 'metrics for Prometheus need', 'npm i prom-client') as PromClient
