/** Who is connected, and how to make them leave. */
import { TestDbError } from '../errors.ts'
import type { Session } from './session.ts'

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
      where datname = $1 and pid <> pg_backend_pid() and backend_type = 'client backend' order by backend_start`,
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
 * Ends every other client session of a database (or only those that are not idle) and waits until they are gone.
 *
 * CREATE, DROP and RENAME DATABASE wait in steps of 100 ms for a leaving session, so polling here first is far faster.
 */
export async function endSessions(session: Session, database: string, which: 'all' | 'busy' = 'all'): Promise<number> {
  const filter = which === 'busy' ? `and state is distinct from 'idle'` : ''
  const { rows } = await session.query<{ pid: number; start: string }>(
    // Not pg_stat_activity, which takes the server ten times as long to plan: each taking of a database comes here.
    `select pid, backend_start::text as start, pg_terminate_backend(pid)
       from pg_stat_get_activity(null)
      where datid = (select oid from pg_database where datname = $1) and pid <> pg_backend_pid()
        and backend_type = 'client backend' ${filter}`,
    [database],
  )
  if (rows.length > 0) await waitUntilGone(session, database, rows)
  return rows.length
}

async function waitUntilGone(
  session: Session,
  database: string,
  gone: readonly { pid: number; start: string }[],
): Promise<void> {
  // Not the time of day: a test may have replaced it.
  const deadline = performance.now() + LEAVE_TIMEOUT_MS
  for (;;) {
    const { rows } = await session.query<{ left: number }>(
      `select count(*)::int as left from pg_stat_activity a
         join unnest($1::int[], $2::text[]) as g(pid, start) on a.pid = g.pid and a.backend_start::text = g.start`,
      [gone.map((one) => one.pid), gone.map((one) => one.start)],
    )
    if (rows[0]?.left === 0) return
    if (performance.now() > deadline) {
      const still = await sessionsOf(session, database)
      const names = still.map(describeActivity).join('; ')
      throw new TestDbError(
        'TESTDB_DATABASE_IN_USE',
        `sessions on ${database} did not end within ${LEAVE_TIMEOUT_MS} ms: ${names}`,
      )
    }
    await session.query('select pg_sleep(0.002)')
  }
}
