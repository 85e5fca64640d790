/** What goes in and out of a lock. */
import type { LockKey } from '../postgres/index.ts'

/** What the function of a section gets. */
export interface LockedContext {
  /** Aborts with TESTDB_LOCK_LOST in the moment in which this process learns that the lock is gone. */
  readonly signal: AbortSignal
}

export interface XactLockOptions<T> {
  /** A text that is not empty, a safe integer, a bigint of 64 bits, or a pair of integers of 32 bits. */
  readonly key: LockKey
  /** The section: runs while the lock is held. */
  readonly fn: (context: LockedContext) => Promise<T> | T
}

/** A lock that was taken by hand. */
export interface AdvisoryLock extends AsyncDisposable {
  readonly key: LockKey
  /** Aborts with TESTDB_LOCK_LOST. */
  readonly signal: AbortSignal
  /**
   * Frees the lock; every further call gives the same promise.
   *
   * @throws TESTDB_LOCK_LOST when it was not held until now: what it should have protected may not have been alone
   */
  release(): Promise<void>
}
