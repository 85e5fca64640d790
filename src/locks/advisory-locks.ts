/** The locks of an application: see `createAdvisoryLocks`. */

import { MOST_MS, wrongArgument } from '../pools/settings.ts'
import type { LockKey } from '../postgres/index.ts'
import type { AdvisoryLock, XactLockOptions } from './contract.ts'
import { Grips } from './grips.ts'
import { locksClosed, type PoolState } from './lock-errors.ts'
import { LockPool } from './lock-pool.ts'
import { Sections } from './sections.ts'
import { type AdvisoryLocksOptions, readLockSettings } from './settings.ts'

export interface AdvisoryLocks extends AsyncDisposable {
  /**
   * Waits for the lock, runs `fn`, frees the lock; gives what `fn` gives and throws what `fn` throws.
   *
   * A call inside `fn` uses the same connection. A key that a section around it has already is not waited for. When `fn` has
   * returned, what was begun in it and not awaited is waited for before the lock is freed.
   *
   * @throws TESTDB_LOCK_TIMEOUT, TESTDB_LOCK_DEADLOCK: `fn` was not run; TESTDB_LOCK_LOST, also when `fn` has returned a value;
   * TESTDB_LOCK_KEY_INVALID, TESTDB_LOCKS_CLOSED, TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_UNSUPPORTED (a pooler in transaction mode)
   */
  withXactLock<T>(options: XactLockOptions<T>): Promise<T>
  /**
   * Takes the lock if nobody has it or waits for it in this process; `undefined` otherwise. It never waits for the lock, but for
   * a connection. Inside a section it lives no longer than the section. The same time limits hold as for sections.
   *
   * @throws as `withXactLock`
   */
  tryAcquire(key: LockKey): Promise<AdvisoryLock | undefined>
  /**
   * Ends the service: calls that wait, and new ones, are rejected with TESTDB_LOCKS_CLOSED; sections that run may end within
   * `graceMs` and may take nested locks; then their connections are cut and their signals abort. Further calls wait for the first.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>
  /** The lock pool as it is now. */
  stats(): PoolState
}

/**
 * Makes locks that exclude each other in all processes that use one database; nothing is connected yet.
 *
 * Use it where something must happen once, or one after the other, and no row can be locked for it: "create unless there is
 * one", one run of a job for each tenant. The locks are on connections of their own. With one pool for locks and work, as many
 * sections as there are connections wait for a connection that only they could give back.
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once
 * @example
 * import { createAdvisoryLocks } from 'testdb/locks'
 *
 * const locks = createAdvisoryLocks({ connectionString: process.env.DATABASE_URL })
 * const order = await locks.withXactLock({
 *   key: `order:${cart.id}`,
 *   fn: async ({ signal }) => (await findOrder(cart)) ?? (await createOrder(cart, { signal })),
 * })
 * await locks.close()
 */
export function createAdvisoryLocks(options: AdvisoryLocksOptions = {}): AdvisoryLocks {
  const settings = readLockSettings(options)
  const pool = new LockPool(settings)
  const grips = new Grips(pool, settings)
  const sections = new Sections(grips)
  let closing: Promise<void> | undefined
  const close = async (graceMs: number): Promise<void> => {
    grips.refuse(locksClosed())
    await pool.close(locksClosed(), graceMs)
  }
  const locks: AdvisoryLocks = {
    withXactLock: async ({ key, fn }) => {
      if (typeof fn !== 'function') throw wrongArgument('withXactLock', 'fn', 'a function', fn)
      return await sections.run(key, fn)
    },
    tryAcquire: (key) => sections.take(key),
    close: ({ graceMs = settings.numbers.idleInTransactionMs } = {}) => {
      if (!isGrace(graceMs)) {
        return Promise.reject(wrongArgument('close', 'graceMs', `an integer from 0 to ${MOST_MS} (ms)`, graceMs))
      }
      closing ??= close(graceMs)
      return closing
    },
    stats: () => pool.state,
    [Symbol.asyncDispose]: () => locks.close(),
  }
  return locks
}

const isGrace = (graceMs: unknown): boolean =>
  Number.isInteger(graceMs) && (graceMs as number) >= 0 && (graceMs as number) <= MOST_MS
