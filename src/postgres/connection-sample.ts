/** One cheap look at all sessions of a server: how many on which database, and statements that take long. */
import type { ConnectionSample } from '../events.ts'
import type { Session } from './session.ts'
import { shownStatement } from './statement-text.ts'

/** A statement that runs for so long is worth a line (ms). */
export const SLOW_MS = 200
/** Characters of a statement that are read. */
const QUERY_LENGTH = 2_000

/**
 * Not pg_stat_activity, which takes the server ten times as long to plan. Sessions of foreign roles are counted without
 * a special right; their statements are null.
 */
const SAMPLE = `
  with a as materialized (
    select pid, datid, application_name, state, query, query_start, wait_event_type from pg_stat_get_activity(null)
     where backend_type = 'client backend' or backend_type is null and usesysid is not null)
  select (select count(*)::int from a) as total,
         current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) as "limit",
         (select coalesce(json_agg(json_build_object('name', datname, 'connections', n, 'limit', datconnlimit) order by datname), '[]')
            from (select d.datname, d.datconnlimit, count(*) as n from a join pg_database d on d.oid = a.datid group by 1, 2) per) as databases,
         (select coalesce(json_agg(json_build_object('pid', a.pid, 'database', d.datname, 'applicationName', a.application_name,
                   'query', case when a.query ~* 'password' then '' else left(regexp_replace(a.query, '\\s+', ' ', 'g'), ${QUERY_LENGTH}) end,
                   'elapsedMs', round(extract(epoch from clock_timestamp() - a.query_start) * 1000), 'waitsFor', a.wait_event_type)), '[]')
            from a join pg_database d on d.oid = a.datid
           where a.state = 'active' and a.pid <> pg_backend_pid()
             and a.query_start < clock_timestamp() - interval '${SLOW_MS} ms') as slow`

/** Undefined while the session is in a transaction. */
export async function sampleConnections(session: Session): Promise<ConnectionSample | undefined> {
  const rows = await session.look<ConnectionSample>(SAMPLE)
  const [sample] = rows ?? []
  if (!sample) return undefined
  // Without the literals, which may be anybody's secrets: it is kept.
  return { ...sample, slow: sample.slow.map((one) => ({ ...one, query: one.query && shownStatement(one.query) })) }
}
