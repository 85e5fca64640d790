/**
 * Session-level advisory locks in the two-key form. They are per database and end with the session.
 * `pg_locks` shows them to every role as `classid`, `objid`, `objsubid = 2` and `database`.
 */
import type { Session } from './session.ts'

/** First key of each lock. The base is ASCII "tdb" followed by a number, so that it meets nobody's hand-picked small keys. */
const BASE = 0x74_64_62_00
export const LOCK_SPACE = {
  /** In the maintenance database; second key: template id. Held by the leader while it builds. */
  build: BASE + 1,
  /** In the maintenance database; second key: run id. Held as long as the run lives. */
  run: BASE + 2,
  /** In a leased database; second key 1. Held by the worker that has the lease. */
  lease: BASE + 3,
  /** In the maintenance database; second key: see `server/embedded`. Who uses and who supervises the embedded server. */
  server: BASE + 4,
  /** In the maintenance database; second key 1. Held for moments, while the registry or the role is created. */
  setup: BASE + 5,
  /** In the maintenance database; second key: database id. Held while a clone is made, and as long as the server goes on with it. */
  clone: BASE + 6,
  /** In the maintenance database; second key: template id. Held by the follower that leads if the leader dies. */
  next: BASE + 7,
} as const

export type LockSpace = keyof typeof LOCK_SPACE

/** Takes the lock if it is free; never waits. */
export async function tryLock(
  session: Session,
  space: LockSpace,
  id: number,
  mode: 'exclusive' | 'shared' = 'exclusive',
): Promise<boolean> {
  const call = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
  const { rows } = await session.query<{ locked: boolean }>(`select ${call}($1, $2) as locked`, [LOCK_SPACE[space], id])
  return rows[0]?.locked === true
}

export async function unlock(
  session: Session,
  space: LockSpace,
  id: number,
  mode: 'exclusive' | 'shared' = 'exclusive',
): Promise<void> {
  const call = mode === 'shared' ? 'pg_advisory_unlock_shared' : 'pg_advisory_unlock'
  await session.query(`select ${call}($1, $2)`, [LOCK_SPACE[space], id])
}
