/**
 * Heals the lock of Knex, a row that outlives its holder.
 *
 *   healthy: one row with is_locked = 0.
 *   broken:  any other number of rows, or is_locked other than 0.
 *   stale:   broken, and no session of the database could be the holder.
 *
 * Several rows that all say "free" have no holder: Knex takes a lock of one row only, and what it did is rolled back.
 *
 * A holder that works is `active` or in a transaction; between two statements of a migration that computes it is `idle` for a
 * moment. So whoever is idle for longer than a minute is not it. Stale locks are healed; for others we wait.
 *
 * What if the process dies here? Healing is one transaction: all of it or nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isTestDbError, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { type Activity, describeActivity, isSqlState, type Session } from '../postgres/index.ts'
import { IDLE_COUNTS_MS, inspectLock, type LockState, lockHolders, resolveLockTable } from './lock-table.ts'
import type { TableName } from './migrator.ts'

export { inspectLock, type LockState, lockHolders } from './lock-table.ts'

/** How long healing may wait for a transaction that has touched the lock table (ms). */
const HEAL_LOCK_TIMEOUT_MS = 5_000

/**
 * Makes the table what it is when nobody migrates: one row, unlocked. Returns false when it already was, or when `isRight`
 * says of the state, which nobody can change any more then, that it is not to be healed.
 * Throws `TESTDB_MIGRATION_LOCKED` when a transaction that has changed the table does not end.
 */
export async function healLock(
  session: Session,
  table: TableName,
  isRight: (state: LockState) => boolean = () => true,
): Promise<boolean> {
  const name = await resolveLockTable(session, table)
  if (name === undefined) return false
  const database = session.target.database
  try {
    const found = await session.transaction(async () => {
      await session.query(`set local lock_timeout = ${HEAL_LOCK_TIMEOUT_MS}`)
      await session.query(`lock table ${name} in exclusive mode`)
      const state = await inspectLock(session, table)
      if (!state.broken || !isRight(state)) return undefined
      await session.query(`delete from ${name}`)
      await session.query(`insert into ${name} (is_locked) values (0)`)
      return state.found
    })
    if (found === undefined) return false
    publish('lock.healed', { database, table: display(table), found })
    return true
  } catch (error) {
    if (!isSqlState(error, 'lockNotAvailable')) throw error
    const why = `a transaction that has changed it did not end within ${HEAL_LOCK_TIMEOUT_MS} ms`
    throw locked(session, table, why, await lockHolders(session), error)
  }
}

export interface HealOptions {
  /** Heal although sessions could be the holder. @default false */
  readonly force?: boolean
  /** How long to wait for possible holders (ms). @default 90_000 */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Time between two looks (ms). @default 250 */
  readonly pollMs?: number
  /** When waiting becomes a warning (ms). @default 30_000 */
  readonly warnAfterMs?: number
  /** When waiting becomes critical (ms). @default 60_000 */
  readonly criticalAfterMs?: number
  /** How long an idle session still counts (ms). @default 60_000 */
  readonly idleCountsMs?: number
}

/**
 * Heals the lock if it is stale; waits with `lock.waiting` events while somebody could hold it. Returns true when it healed.
 * Throws `TESTDB_MIGRATION_LOCKED` naming the sessions after `timeoutMs`, and the signal's reason when it aborts.
 */
export async function healStaleLock(session: Session, table: TableName, options: HealOptions = {}): Promise<boolean> {
  const { force = false, timeoutMs = 90_000, signal, pollMs = 250 } = options
  const { warnAfterMs = 30_000, criticalAfterMs = 60_000, idleCountsMs = IDLE_COUNTS_MS } = options
  const startedAt = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const state = await inspectLock(session, table)
    if (!state.broken) return false
    // Processes that try again and again look like holders for ever, and none of them can get such a lock.
    if (hasNoHolder(state) && (await healFree(session, table))) return true
    const holders = force ? [] : await lockHolders(session, idleCountsMs)
    if (holders.length === 0) return healLock(session, table)
    const elapsedMs = performance.now() - startedAt
    if (elapsedMs >= timeoutMs) throw locked(session, table, afterWaiting(state.found, elapsedMs), holders)
    const severity = elapsedMs >= criticalAfterMs ? 'critical' : elapsedMs >= warnAfterMs ? 'warning' : 'info'
    publish('lock.waiting', { table: display(table), holders: holders.map(describeActivity), elapsedMs, severity })
    await pause(Math.min(pollMs, timeoutMs - elapsedMs), signal)
  }
}

const hasNoHolder = ({ rows, locked }: LockState): boolean => rows > 1 && locked === 0

/** False when a transaction took the lock before the second row came and has not ended: that one is waited for like any other. */
async function healFree(session: Session, table: TableName): Promise<boolean> {
  try {
    return await healLock(session, table, hasNoHolder)
  } catch (error) {
    if (isTestDbError(error) && error.code === 'TESTDB_MIGRATION_LOCKED') return false
    throw error
  }
}

const afterWaiting = (found: string, elapsedMs: number): string =>
  elapsedMs < 1_000 ? found : `${found}, still after ${Math.round(elapsedMs / 1_000)} s of waiting`

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

function locked(
  session: Session,
  table: TableName,
  why: string,
  holders: readonly Activity[],
  cause?: unknown,
): TestDbError {
  const database = session.target.database
  const names = holders.map((holder) => `\n  ${describeActivity(holder)}`).join('')
  const who = holders.length === 1 ? 'one session could hold it' : `${holders.length} sessions could hold it`
  return new TestDbError('TESTDB_MIGRATION_LOCKED', `${display(table)} in ${database}: ${why}; ${who}:${names}`, {
    details: {
      database,
      table: display(table),
      holders: holders.map(({ pid, applicationName, user, state, ageSeconds }) => ({
        ...{ pid, applicationName, user, state, ageSeconds },
      })),
    },
    ...(cause !== undefined && { cause }),
  })
}

const display = ({ schema, table }: TableName): string => (schema === undefined ? table : `${schema}.${table}`)
