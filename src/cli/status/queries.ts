/** What status reads from a server. Every statement is a single look: nothing is locked, nothing is written. */
import { isBeingBuilt } from '../../coordination/index.ts'
import { LOCK_SPACE, type Session } from '../../postgres/index.ts'
import {
  type Connections,
  type DatabaseStatus,
  measure,
  type RunStatus,
  type SchemaStatus,
  type TemplateStatus,
  type WaitsStatus,
} from './report.ts'

/** The size of the database `oid`; without the right to connect it is not told. Null when it has just been dropped. */
const SIZE = `case when has_database_privilege(p.oid, 'connect') then pg_database_size(p.oid) end::float8`

/** Client sessions other than the asking one, against the server's limit. */
export async function readConnections(session: Session): Promise<Connections> {
  const { rows } = await session.query<{ used: number; max: number }>(
    `select (select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid())::int as used,
            current_setting('max_connections')::int as max`,
  )
  return measure(rows[0]?.used ?? 0, rows[0]?.max ?? 1)
}

/** A row that says sealed counts only while the catalog agrees; one that says building has a leader, alive or not. */
export async function readTemplates(session: Session): Promise<TemplateStatus[]> {
  const { rows } = await session.query<TemplateStatus>(
    `select t.id, t.name, t.hash, t.project, t.summary, t.migrations, t.build_ms as "buildMs",
            to_char(t.last_used at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "lastUsed", ${SIZE} as bytes,
            case when t.state = 'sealed' and t.name is not null and not coalesce(p.datistemplate and not p.datallowconn, false)
                 then 'missing' else t.state end as state,
            case when t.state = 'building'
                 then json_build_object('pid', t.leader_pid, 'host', t.leader_host, 'alive', ${isBeingBuilt('t.id')}) end as leader,
            case when t.state = 'building' then t.step end as step,
            case when t.state = 'failed' and t.error is not null
                 then json_build_object('code', t.error->>'code', 'what', t.error->>'what') end as error
       from testdb.templates t left join pg_database p on p.datname = t.name
      order by t.project, t.last_used desc, t.id`,
  )
  return rows
}

export async function readDatabases(session: Session): Promise<DatabaseStatus[]> {
  const { rows } = await session.query<Omit<DatabaseStatus, 'percent' | 'severity'>>(
    `select d.name, t.name as template, t.project, d.state, d.run_id as "runId", ${SIZE} as bytes,
            nullif(p.datconnlimit, -1) as "connectionLimit",
            (select count(*) from pg_stat_activity a where a.datid = p.oid and a.backend_type = 'client backend')::int as connections,
            (select json_build_object('backendPid', a.pid, 'applicationName', a.application_name)
               from pg_locks l join pg_stat_activity a on a.pid = l.pid
              where l.locktype = 'advisory' and l.classid = $1 and l.objid = 1 and l.objsubid = 2 and l.granted
                and l.database = p.oid limit 1) as lease
       from testdb.databases d join testdb.templates t on t.id = d.template_id
       left join pg_database p on p.datname = d.name
      order by t.project, d.id`,
    [LOCK_SPACE.lease],
  )
  return rows.map((row) => {
    if (row.connectionLimit === null) return { ...row, percent: null, severity: 'ok' }
    const { percent, severity } = measure(row.connections, row.connectionLimit)
    return { ...row, percent, severity }
  })
}

/** Who of the runs waits for connections, and who for somebody's migrations. */
export async function readWaits(
  session: Session,
  runs: readonly RunStatus[],
  templates: readonly TemplateStatus[],
): Promise<Pick<WaitsStatus, 'runs' | 'followers'>> {
  const { rows: waiting } = await session.query<WaitsStatus['runs'][number]>(
    `select id, project, extract(epoch from clock_timestamp() - waiting_since)::float8 * 1000 as "waitingMs"
       from testdb.runs where waiting_since is not null order by waiting_since`,
  )
  const followers = runs.flatMap(({ id, project, pid, host, templateId }) => {
    const template = templates.find((one) => one.id === templateId && one.state === 'building')
    const { leader } = template ?? {}
    if (!template || !leader || (leader.pid === pid && leader.host === host)) return []
    return [{ id, project, template: template.name, leader: { pid: leader.pid, host: leader.host } }]
  })
  // A run that was killed while it waited has left its row.
  return { runs: waiting.filter(({ id }) => runs.some((run) => run.id === id)), followers }
}

export async function readSchemas(session: Session): Promise<SchemaStatus[]> {
  const { rows } = await session.query<SchemaStatus>(
    `select s.name, s.project, s.hash, s.state, s.run_id as "runId",
            (select json_build_object('backendPid', a.pid, 'applicationName', a.application_name)
               from pg_locks l join pg_stat_activity a on a.pid = l.pid
              where l.locktype = 'advisory' and l.classid = $1 and l.objid = s.id::oid and l.objsubid = 2 and l.granted
                and l.database = (select oid from pg_database where datname = current_database()) limit 1) as lease
       from testdb.schemas s order by s.project, s.id`,
    [LOCK_SPACE.schema],
  )
  return rows
}
