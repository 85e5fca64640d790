/** What those who wait for a lock, or have lost one, are told. */
import { messageOf, TestDbError } from '../errors.ts'
import type { SqlLockKey } from '../postgres/index.ts'

/** Who has a lock, as far as the server tells: without pg_monitor other people's state and query are hidden. */
export interface LockHolder {
  /** Process id of the backend on the server. */
  readonly pid: number
  readonly applicationName: string | null
  readonly state: string | null
  /** Milliseconds since its transaction began. */
  readonly heldMs: number | null
}

export function lockTimeout(key: SqlLockKey, waitedMs: number, holder: LockHolder | undefined, cause?: unknown) {
  const who = holder ? `; ${describeHolder(holder)} has it` : ''
  return new TestDbError('TESTDB_LOCK_TIMEOUT', `no lock on ${key.shown} within ${Math.round(waitedMs)} ms${who}`, {
    details: { retryable: true, waitedFor: 'lock', key: key.shown, waitedMs: Math.round(waitedMs), holder },
    cause,
  })
}

function describeHolder({ pid, applicationName, state, heldMs }: LockHolder): string {
  const since = heldMs === null ? '' : `, in a transaction for ${Math.round(heldMs)} ms`
  return `pid ${pid} (${applicationName || 'no application name'}${state === null ? '' : `, ${state}`}${since})`
}

export interface PoolState {
  readonly max: number
  /** Connections that are given out, or being made. */
  readonly inUse: number
  readonly idle: number
  /** Calls that wait for a connection. */
  readonly waiting: number
}

export function connectionTimeout(key: SqlLockKey, waitedMs: number, pool: PoolState, cause: unknown): TestDbError {
  const state = `max ${pool.max}, ${pool.inUse} in use, ${pool.waiting} waiting`
  const what = `no connection for the lock on ${key.shown} within ${Math.round(waitedMs)} ms: ${state}`
  return new TestDbError('TESTDB_LOCK_TIMEOUT', what, {
    details: { retryable: true, waitedFor: 'connection', key: key.shown, waitedMs: Math.round(waitedMs), ...pool },
    cause,
  })
}

export function lockDeadlock(key: SqlLockKey, waitedMs: number, cause: unknown): TestDbError {
  return new TestDbError('TESTDB_LOCK_DEADLOCK', `waiting for the lock on ${key.shown} was a deadlock`, {
    details: { retryable: true, key: key.shown, waitedMs: Math.round(waitedMs) },
    cause,
  })
}

/** `heldMs`: undefined when it was lost before it was had. */
export function lockLost(key: SqlLockKey, heldMs: number | undefined, cause: unknown): TestDbError {
  const when = heldMs === undefined ? 'while it was waited for' : `after ${Math.round(heldMs)} ms`
  const why = cause === undefined ? 'the connection was closed without a word' : messageOf(cause)
  return new TestDbError('TESTDB_LOCK_LOST', `the lock on ${key.shown} was lost ${when}: ${why}`, {
    details: { retryable: true, key: key.shown, ...(heldMs !== undefined && { heldMs: Math.round(heldMs) }) },
    cause,
  })
}

export function locksClosed(): TestDbError {
  return new TestDbError('TESTDB_LOCKS_CLOSED', 'these advisory locks are closed', { details: { retryable: false } })
}
