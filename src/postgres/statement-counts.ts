/** What `pg_stat_statements` has counted, where somebody has loaded it into the server and made its extension in this database. */
import type { Session } from './session.ts'

/** Statements that have taken the most time. */
const MOST = 600
/** Characters of a statement. */
const QUERY_LENGTH = 300

export interface StatementCount {
  /** Of database, role and statement. */
  readonly key: string
  readonly database: string
  readonly query: string
  readonly calls: number
  readonly totalMs: number
  readonly maxMs: number
}

/** Counts since the server started; undefined where nothing is counted or the session is in a transaction. */
export async function readStatements(session: Session): Promise<StatementCount[] | undefined> {
  const found = await session.look<{ schema: string }>(
    `select quote_ident(nspname) as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace
      where extname = 'pg_stat_statements' and 'pg_stat_statements' = any(string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ','))`,
  )
  const schema = found?.[0]?.schema
  if (schema === undefined) return undefined
  return await session.look<StatementCount>(
    `select d.datname as database, s.calls::float8 as calls, s.total_exec_time as "totalMs", s.max_exec_time as "maxMs",
            case when s.query ~* 'password' then '' else left(regexp_replace(s.query, '\\s+', ' ', 'g'), ${QUERY_LENGTH}) end as query,
            concat_ws('.', s.dbid, s.userid, s.queryid) as key
       from ${schema}.pg_stat_statements(true) s join pg_database d on d.oid = s.dbid
      where s.query is not null order by s.total_exec_time desc limit ${MOST}`,
  )
}
