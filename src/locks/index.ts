/** Public entry `testdb/locks`: locks across processes, and limits in this one. */
export type { LockKey } from '../postgres/index.ts'
export {
  type AdvisoryLock,
  type AdvisoryLocks,
  createAdvisoryLocks,
  type LockedContext,
  type XactLockOptions,
} from './advisory-locks.ts'
export { type LimitPerKey, type LimitPerKeyOptions, limitPerKey } from './limit-per-key.ts'
export type { LockHolder, PoolState } from './lock-errors.ts'
export type { AdvisoryLocksOptions } from './settings.ts'
