/** Who is connected, and how to make them leave. */
import { TestDbError } from '../errors.ts'
import type { Session } from './session.ts'
import { isSqlState } from './sqlstate.ts'

export interface Activity {
  readonly pid: number
  readonly applicationName: string
  readonly user: string
  readonly database: string
  readonly state: string | null
  readonly query: string | null
  /** Seconds since the backend started. */
  readonly ageSeconds: number | null
}

/** Client sessions of a database other than the asking one. Foreign sessions' details are null without pg_monitor. */
export async function sessionsOf(session: Session, database: string): Promise<Activity[]> {
  const { rows } = await session.query<Activity>(
    `select pid, application_name as "applicationName", usename as "user", datname as "database", state,
            left(query, 200) as query, extract(epoch from now() - backend_start)::float as "ageSeconds"
       from pg_stat_activity
      where datname = $1 and pid <> pg_backend_pid() and (backend_type = 'client backend' or backend_type is null and usesysid is not null)
      order by backend_start`,
    [database],
  )
  return rows
}

/** One session in words: pid, application, query and age. */
export function describeActivity(one: Activity): string {
  const age = one.ageSeconds === null ? '' : `, connected for ${Math.round(one.ageSeconds)} s`
  const doing = one.query ? `, ${one.state ?? 'unknown'}: ${one.query.replace(/\s+/g, ' ').trim()}` : ''
  return `pid ${one.pid} (${one.applicationName || 'no application name'}, user ${one.user}${age}${doing})`
}

/** How long a terminated backend may take to leave (ms); ending takes single milliseconds, a swapping machine seconds. */
const LEAVE_TIMEOUT_MS = 10_000

/**
 * Ends every other client session of a database (or only those that are not idle) and waits until they are gone. Those that the
 * role has no right to end are waited for all the same, and named when they stay.
 *
 * CREATE, DROP and RENAME DATABASE wait in steps of 100 ms for a leaving session, so polling here first is far faster.
 *
 * @throws TESTDB_DATABASE_IN_USE
 */
export async function endSessions(session: Session, database: string, which: 'all' | 'busy' = 'all'): Promise<number> {
  const ended = await terminate(session, database, which)
  if (ended.length > 0) await waitUntilGone(session, database, ended)
  return ended.length
}

interface Ended {
  readonly pid: number
  /** Null of sessions that the role may not look into. */
  readonly start: string | null
  readonly refused?: boolean
}

/** Not pg_stat_activity, which takes the server ten times as long to plan: each taking of a database comes here. */
const others = (which: 'all' | 'busy', action: string): string => `
  select pid, backend_start::text as start${action} from pg_stat_get_activity(null)
   where datid = (select oid from pg_database where datname = $1) and pid <> pg_backend_pid()
     and ${which === 'busy' ? `backend_type = 'client backend' and state is distinct from 'idle'` : `(backend_type = 'client backend' or backend_type is null and usesysid is not null)`}`

async function terminate(session: Session, database: string, which: 'all' | 'busy'): Promise<readonly Ended[]> {
  try {
    const { rows } = await session.query<Ended>(others(which, ', pg_terminate_backend(pid)'), [database])
    return rows
  } catch (error) {
    if (!isSqlState(error, 'insufficientPrivilege')) throw error
  }
  const { rows } = await session.query<Ended>(others(which, ''), [database])
  return await Promise.all(rows.map((row) => terminateOne(session, row)))
}

/** One by one: a session that may not be ended must not keep the others alive. */
async function terminateOne(session: Session, row: Ended): Promise<Ended> {
  try {
    await session.query('select pg_terminate_backend($1)', [row.pid])
    return row
  } catch (error) {
    if (!isSqlState(error, 'insufficientPrivilege')) throw error
    return { ...row, refused: true }
  }
}

/** Throws `TESTDB_DATABASE_IN_USE`. */
export async function waitUntilGone(session: Session, database: string, gone: readonly Ended[]): Promise<void> {
  // Not the time of day: a test may have replaced it.
  const deadline = performance.now() + LEAVE_TIMEOUT_MS
  for (;;) {
    const { rows } = await session.query<{ left: number }>(
      `select count(*)::int as left from pg_stat_activity a
         join unnest($1::int[], $2::text[]) as g(pid, start) on a.pid = g.pid and a.backend_start::text is not distinct from g.start`,
      [gone.map((one) => one.pid), gone.map((one) => one.start)],
    )
    if (rows[0]?.left === 0) return
    if (performance.now() > deadline) {
      throw stillThere(session, database, gone, await sessionsOf(session, database))
    }
    await session.query('select pg_sleep(0.002)')
  }
}

function stillThere(
  { target }: Session,
  database: string,
  gone: readonly Ended[],
  still: readonly Activity[],
): TestDbError {
  const refused = gone.filter((one) => one.refused && still.some(({ pid }) => pid === one.pid)).length
  const why = refused === 0 ? '' : ` (${target.user} may not end ${refused} of them)`
  const names = still.map(describeActivity).join('; ')
  const what = `sessions on ${database} did not end within ${LEAVE_TIMEOUT_MS} ms${why}: ${names}`
  return new TestDbError('TESTDB_DATABASE_IN_USE', what, {
    details: { database, pids: still.map(({ pid }) => pid), refused },
  })
}
