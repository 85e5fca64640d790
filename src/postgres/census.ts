/** Who holds the connections of a server, by database and application name, and how many there may be. */
import type { Session } from './session.ts'

export interface Holder {
  readonly database: string
  readonly applicationName: string
  readonly connections: number
  /** How long the one that has been idle for longest is (seconds); null when none is, or when the asking role may not know. */
  readonly idleSeconds: number | null
  /** The last statement of that one, or of any. */
  readonly query: string | null
  /** `CONNECTION LIMIT` of the database; -1: none. */
  readonly limit: number
}

export interface Census {
  readonly holders: readonly Holder[]
  /** Connections that roles without special rights may have together. */
  readonly serverLimit: number
}

/** Most connections first. */
export async function takeCensus(session: Session): Promise<Census> {
  const { rows } = await session.query<Holder>(
    `select d.datname as database, coalesce(a.application_name, '') as "applicationName", count(*)::int as connections,
            max(extract(epoch from clock_timestamp() - a.state_change)) filter (where a.state = 'idle')::float as "idleSeconds",
            (array_agg(left(a.query, 200) order by a.state <> 'idle', a.state_change) filter (where a.query <> ''))[1] as query,
            d.datconnlimit as limit
       from pg_stat_activity a join pg_database d on d.oid = a.datid
      where a.backend_type = 'client backend'
      group by 1, 2, d.datconnlimit order by 3 desc, 1, 2`,
  )
  const { rows: limits } = await session.query<{ serverLimit: number }>(
    `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0) as "serverLimit"`,
  )
  return { holders: rows, serverLimit: limits[0]?.serverLimit ?? 0 }
}
