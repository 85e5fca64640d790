/** Public entry `testdb/pools`: pools for an application's own work, and what watches pools of any make. */

export { type ErrorCode, isTestDbError, TestDbError } from '../errors.ts'
export { createPool, type PoolOptions } from './create-pool.ts'
export { type ExpectConnectionsOptions, expectConnections, type PeakConnection } from './expect-connections.ts'
export type { Durations } from './monitor/durations.ts'
export { monitorPool, type PoolMonitor, type PoolSnapshot } from './monitor/monitor.ts'
export type { MetricsRegistry, MonitorLogger, MonitorOptions, PoolAlert } from './monitor/options.ts'
export type { SlowStatement } from './monitor/slow-statements.ts'
export type { AlertLevel, AlertMetric, Threshold, Thresholds } from './monitor/thresholds.ts'
