/** What sessions are doing on the databases that testdb knows on a server: the oldest statements and transactions, and who waits for whom. */

import type { Session } from '../../postgres/index.ts'
import { QUERY_MS, severityOf } from '../../thresholds.ts'
import type { ActivityStatus, BlockedStatus, SessionStatus } from './report.ts'

/** Of each kind. */
const MOST = 5

interface Row extends SessionStatus {
  readonly queryMs: number | null
  readonly transactionMs: number | null
  readonly blockedBy: readonly number[]
}

/** Of sessions of other roles only what the asking role may see. */
export async function readActivity(
  session: Session,
  registry: boolean,
): Promise<{ activity: ActivityStatus; blocked: BlockedStatus[] }> {
  const ours = registry
    ? `select name from testdb.databases union select staging from testdb.templates where staging is not null union select current_database()`
    : 'select current_database()'
  const { rows } = await session.query<Row>(
    `select a.pid, coalesce(a.application_name, '') as "applicationName", a.usename as "user", a.datname as database, a.state,
            case when a.query ~* 'passw' then null else left(a.query, 200) end as query,
            case when a.state = 'active' then extract(epoch from clock_timestamp() - a.query_start)::float8 * 1000 end as "queryMs",
            extract(epoch from clock_timestamp() - a.xact_start)::float8 * 1000 as "transactionMs",
            case when a.wait_event_type = 'Lock' then pg_blocking_pids(a.pid) else '{}' end as "blockedBy"
       from pg_stat_activity a
      where a.backend_type = 'client backend' and a.pid <> pg_backend_pid() and a.datname in (${ours})`,
  )
  const oldest = (of: (row: Row) => number | null): Row[] =>
    rows
      .filter((row) => of(row) !== null)
      .sort((a, b) => (of(b) ?? 0) - (of(a) ?? 0))
      .slice(0, MOST)
  const queries = oldest(({ queryMs }) => queryMs).map((row) => {
    const durationMs = row.queryMs ?? 0
    return { ...sessionOf(row), durationMs, severity: severityOf(durationMs, QUERY_MS) }
  })
  const transactions = oldest(({ transactionMs }) => transactionMs).map((row) => ({
    ...sessionOf(row),
    durationMs: row.transactionMs ?? 0,
  }))
  const blocked = rows
    .filter(({ blockedBy }) => blockedBy.length > 0)
    .map((row) => {
      // A transaction that was prepared has no session: its pid is 0.
      const by = row.blockedBy.map((pid) => rows.find((one) => one.pid === pid) ?? unknown(pid))
      return { ...sessionOf(row), waitingMs: row.queryMs ?? 0, by: by.map(sessionOf) }
    })
  return { activity: { queries, transactions }, blocked }
}

function sessionOf({ pid, applicationName, user, database, state, query }: SessionStatus): SessionStatus {
  return { pid, applicationName, user, database, state, query }
}

const unknown = (pid: number): SessionStatus => ({
  pid,
  applicationName: '',
  user: null,
  database: null,
  state: null,
  query: null,
})
