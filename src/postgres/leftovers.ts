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
 * Prepared, because to plan it takes as long as to run it, and the functions, because their views take ten times as long. To read the
 * locks takes longer than the rest together, the longer the more connections a server may have; so they are read where there may be some.
 */
const WHERE = `a.datid = (select oid from pg_database where datname = current_database()) and a.pid <> pg_backend_pid()
     and (a.backend_type = 'client backend' or a.backend_type is null)`
const COLUMNS = `a.pid, a.backend_start::text as start, coalesce(a.application_name, '') as "applicationName", a.state, left(coalesce(a.query, ''), 500) as query,
         coalesce(extract(epoch from clock_timestamp() - a.state_change) * 1000, 0)::float as "forMs", coalesce(a.state_change::text, '') as changed,
         a.xact_start::text as transaction, a.backend_xid is not null as writes`

/** One row at least, with the sessions of others as far as they are not testdb's. */
const SESSIONS = `prepare testdb_sessions as
  with a as materialized (select * from pg_stat_get_activity(null) a where ${WHERE})
  select (select array_agg(pid) from a where application_name is distinct from 'testdb' and application_name not like 'testdb %') as pids, ${COLUMNS}
    from (select) x left join a on a.state <> 'idle'`

/**
 * testdb's own locks are left out. `pg_locks` does not say whether a lock is the session's or the transaction's; outside of a
 * transaction it is the session's.
 */
const WITH_LOCKS = `prepare testdb_leftovers as
  with held as (select pid, array_agg(concat_ws(' ', classid, objid, objsubid, mode)) as locks from pg_lock_status()
      where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
        and not (objsubid = 2 and classid between ${Math.min(...SPACES)} and ${Math.max(...SPACES)}) group by pid)
  select ${COLUMNS}, coalesce(h.locks, '{}') as locks
    from pg_stat_get_activity(null) a left join held h on h.pid = a.pid
   where ${WHERE} and (a.state <> 'idle' or h.pid is not null)`

/** One row, with what `statement` gives: only where each session of others is idle and one of $1. */
const ifQuiet = (statement: string): string => `prepare testdb_quiet(int[]) as
  with a as materialized (select a.pid, a.state, a.application_name as name from pg_stat_get_activity(null) a where ${WHERE}),
    found as materialized (select coalesce(bool_and(coalesce(state, '') = 'idle' and (pid = any ($1) or name = 'testdb' or name like 'testdb %')), true) as quiet from a)
  select done.outcome from found left join lateral (
    -- OFFSET keeps this a query of its own, which is not begun where its condition is false.
    select to_jsonb(r) as outcome from (${statement}) r where found.quiet offset 0) done on true`

/** Functions of the database that may take locks: their names do not tell. */
const LOCKING_CODE = `select exists (select from pg_proc where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  and pronamespace not in (select oid from pg_namespace where nspname = 'testdb') and prosrc ilike '%advisory%') as "may"`

/** Of each session: whether the database's own code may take locks. */
const prepared = new WeakMap<Session, boolean>()

/** `mayLock`: whether sessions with these backends may hold advisory locks; it is not asked where the database's own code may. */
export async function takeLeftovers(
  session: Session,
  mayLock: (pids: readonly number[]) => boolean,
): Promise<Leftover[]> {
  const codeMayLock = prepared.get(session) ?? (await prepare(session))
  if (!codeMayLock) {
    type Row = Omit<Leftover, 'locks'> & { readonly pids: number[] | null }
    const { rows } = await session.query<Row>('execute testdb_sessions')
    if (!mayLock(rows[0]?.pids ?? [])) {
      return rows.flatMap(({ pids: _, ...row }) => (row.pid === null ? [] : { ...row, locks: [] }))
    }
  }
  const { rows } = await session.query<Omit<Leftover, 'locks'> & { locks: string[] }>('execute testdb_leftovers')
  return rows.map((row) => ({ ...row, locks: row.locks.map(readLock) }))
}

/** Of each session: it has the statement of `askIfQuiet`. */
const quietPrepared = new WeakMap<Session, string>()

/**
 * Asks `statement` for its one row, and in the same round trip whether it may be asked: only when nobody is at work and nobody is there but
 * backends of `clients`, who hold no locks. Undefined when it was not asked: `takeLeftovers` tells why.
 */
export async function askIfQuiet(session: Session, statement: string, clients: readonly number[]): Promise<unknown> {
  // The first look is a whole one.
  if (prepared.get(session) !== false) return undefined
  if (quietPrepared.get(session) !== statement) {
    await session.query(ifQuiet(statement))
    quietPrepared.set(session, statement)
  }
  const { rows } = await session.query<{ outcome: unknown }>(`execute testdb_quiet('{${clients.join()}}')`)
  return rows[0]?.outcome ?? undefined
}

async function prepare(session: Session): Promise<boolean> {
  const results = await session.batch(`${SESSIONS}; ${WITH_LOCKS}; ${LOCKING_CODE}`)
  const may = results.at(-1)?.rows[0]?.may === true
  prepared.set(session, may)
  return may
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
