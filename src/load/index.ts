/** Public entry `testdb/load`: load tests that watch the pools meanwhile. */
export { type ErrorCode, isTestDbError, TestDbError } from '../errors.ts'
export type { SlowStatement } from '../pools/index.ts'
export { assertLoad } from './criteria.ts'
export type { LoadOptions, LoadRequest } from './options.ts'
export type { LoadCriteria, LoadErrors, LoadResult, MissedCriterion, PoolLoad } from './result.ts'
export { runLoad } from './run-load.ts'
