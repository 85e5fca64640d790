/** Public entry `testdb/locks`: locks across processes, and limits in this one. */
export { type ErrorCode, isTestDbError, TestDbError } from '../errors.ts'
export type { LockKey } from '../postgres/index.ts'
export { type AdvisoryLocks, createAdvisoryLocks } from './advisory-locks.ts'
export type { AdvisoryLock, LockedContext, XactLockOptions } from './contract.ts'
export { type LimitPerKey, type LimitPerKeyOptions, limitPerKey } from './limit-per-key.ts'
export type { LockHolder, PoolState } from './lock-errors.ts'
export type { AdvisoryLocksOptions } from './settings.ts'
