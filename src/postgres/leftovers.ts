/** What the sessions of a database are at when a test has ended: transactions, writes, advisory locks. One query of the lease's own session. */
import { waitUntilGone } from './activity.ts'
import { LOCK_SPACE } from './advisory.ts'
import { knownClients } from './driver-notes.ts'
import { listenForEnd } from './pool-watch.ts'
import type { Session } from './session.ts'

export interface AdvisoryLock {
  /** As it stands between the brackets of `pg_advisory_lock()`. */
  readonly key: string
  readonly shared: boolean
}

/** A session that is not idle, or that holds an advisory lock. */
export interface Leftover {
  readonly pid: number
  readonly start: string
  readonly applicationName: string
  readonly state: string | null
  /** Its last statement. */
  readonly query: string
  /** Milliseconds in this state. */
  readonly forMs: number
  /** Changes with each statement. */
  readonly changed: string
  /** When its transaction began, as a text; null outside of one. */
  readonly transaction: string | null
  /** Its transaction has written. */
  readonly writes: boolean
  readonly locks: readonly AdvisoryLock[]
}

const SPACES = Object.values(LOCK_SPACE)

/**
 * Prepared, because to plan it takes as long as to run it, and the functions, because their views take ten times as long.
 * testdb's own locks are left out. `pg_locks` does not say whether a lock is the session's or the transaction's; outside of a
 * transaction it is the session's.
 */
const PREPARE = `prepare testdb_leftovers as
  with here as (select oid from pg_database where datname = current_database()),
    held as (select pid, array_agg(concat_ws(' ', classid, objid, objsubid, mode)) as locks from pg_lock_status()
      where locktype = 'advisory' and granted and database = (select oid from here)
        and not (objsubid = 2 and classid between ${Math.min(...SPACES)} and ${Math.max(...SPACES)}) group by pid)
  select a.pid, a.backend_start::text as start, coalesce(a.application_name, '') as "applicationName", a.state, left(coalesce(a.query, ''), 500) as query,
         coalesce(extract(epoch from clock_timestamp() - a.state_change) * 1000, 0)::float as "forMs", coalesce(a.state_change::text, '') as changed,
         a.xact_start::text as transaction, a.backend_xid is not null as writes, coalesce(h.locks, '{}') as locks
    from pg_stat_get_activity(null) a left join held h on h.pid = a.pid
   where a.datid = (select oid from here) and a.pid <> pg_backend_pid() and (a.state <> 'idle' or h.pid is not null)
     and (a.backend_type = 'client backend' or a.backend_type is null)`

const prepared = new WeakSet<Session>()

export async function takeLeftovers(session: Session): Promise<Leftover[]> {
  if (!prepared.has(session)) {
    await session.query(PREPARE)
    prepared.add(session)
  }
  const { rows } = await session.query<Omit<Leftover, 'locks'> & { locks: string[] }>('execute testdb_leftovers')
  return rows.map((row) => ({ ...row, locks: row.locks.map(readLock) }))
}

/** `pg_locks` has a key in two unsigned halves; `objsubid` is 1 for one of 64 bits. */
function readLock(text: string): AdvisoryLock {
  const [classid = '', objid = '', objsubid, mode = ''] = text.split(' ')
  const pair = [classid, objid].map((half) => Number(half) | 0)
  const single = BigInt.asIntN(64, (BigInt(classid) << 32n) | BigInt(objid))
  return { key: objsubid === '2' ? pair.join(', ') : String(single), shared: mode.startsWith('Share') }
}

/** Ends these sessions and waits until they are gone. Throws `TESTDB_DATABASE_IN_USE`. */
export async function endLeftovers(
  session: Session,
  sessions: readonly Pick<Leftover, 'pid' | 'start'>[],
): Promise<void> {
  for (const { pid } of sessions) await session.query('select pg_terminate_backend($1)', [pid])
  await waitUntilGone(session, session.target.database, sessions)
}

/**
 * Prepares the clients and pools of this process for the end of these sessions: without a listener it would be an uncaught exception
 * of whatever test runs then.
 */
export function expectEnd(sessions: readonly Pick<Leftover, 'pid'>[]): void {
  const pids = sessions.map(({ pid }) => pid)
  for (const client of knownClients()) {
    if (pids.includes(client.processID ?? 0)) client.on('error', () => undefined)
  }
  listenForEnd(pids)
}
