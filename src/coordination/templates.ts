/** Queries on the registry's templates. */

import { hostname } from 'node:os'
import type { ErrorCode } from '../errors.ts'
import type { MigrationStep } from '../events.ts'
import type { Session } from '../postgres/index.ts'

/** A leader's error as it is stored for its followers; plain data, no password. */
export interface StoredError {
  readonly code: ErrorCode
  readonly what: string
  readonly fixes: readonly string[]
  readonly details: Readonly<Record<string, unknown>>
  readonly stack: string | undefined
}

export interface TemplateRow {
  readonly id: number
  readonly hash: string
  readonly project: string
  readonly name: string | null
  readonly state: 'missing' | 'building' | 'sealed' | 'failed'
  readonly attempt: number
  readonly staging: string | null
  readonly leaderPid: number | null
  readonly leaderHost: string | null
  readonly step: MigrationStep | null
  readonly error: StoredError | null
  readonly migrations: number | null
  readonly buildMs: number | null
}

// A row that says "sealed" counts only while the catalog agrees: somebody may have dropped the database.
const COLUMNS = `t.id, t.hash, t.project, t.name, t.attempt, t.staging, t.step, t.error, t.migrations,
  t.leader_pid as "leaderPid", t.leader_host as "leaderHost", t.build_ms as "buildMs",
  case when t.state = 'sealed' and t.name is not null and not exists (
    select from pg_database d where d.datname = t.name and d.datistemplate and not d.datallowconn)
  then 'missing' else t.state end as state`

/**
 * Finds the template of a hash and notes that it is used; registers it first when the server has never seen it.
 * The name follows from the hash (only an ending may come after it), so a row with another one is wrong and is put right.
 */
export async function registerTemplate(
  session: Session,
  template: { readonly hash: string; readonly project: string; readonly summary: string; readonly name: string | null },
): Promise<TemplateRow> {
  const { rows } = await session.query<TemplateRow>(
    `with t as (
       insert into testdb.templates as t (hash, project, summary, name) values ($1, $2, $3, $4)
       on conflict (hash) do update set last_used = now(),
         name = case when starts_with(t.name, excluded.name) then t.name else excluded.name end returning t.*)
     select ${COLUMNS} from t`,
    [template.hash, template.project, template.summary, template.name],
  )
  return rows[0] as TemplateRow
}

/** Reads a template again; undefined when it was pruned meanwhile. */
export async function readTemplate(session: Session, id: number): Promise<TemplateRow | undefined> {
  const { rows } = await session.query<TemplateRow>(`select ${COLUMNS} from testdb.templates t where t.id = $1`, [id])
  return rows[0]
}

/** Opens the next attempt. Names the staging database before it is created, so that whoever comes next knows what to drop. */
export async function beginAttempt(session: Session, id: number, staging: string | null): Promise<void> {
  await session.query(
    `update testdb.templates set state = 'building', attempt = attempt + 1, staging = $2, leader_pid = $3,
            leader_host = $4, step = null, error = null where id = $1`,
    [id, staging, process.pid, hostname()],
  )
}

/** Notes which migration runs. Sends no notification: followers see it at their next re-check. */
export async function noteStep(session: Session, id: number, step: MigrationStep): Promise<void> {
  await session.query('update testdb.templates set step = $2 where id = $1', [id, JSON.stringify(step)])
}

export async function noteSealed(
  session: Session,
  id: number,
  result: { readonly name: string | null; readonly applied: number; readonly buildMs: number },
): Promise<void> {
  await session.query(
    `update testdb.templates set state = 'sealed', name = $4, staging = null, step = null, error = null,
            migrations = $2, build_ms = $3, last_used = now() where id = $1`,
    [id, result.applied, Math.round(result.buildMs), result.name],
  )
}

/** Ends an attempt that says nothing about the migrations, so that somebody else makes the next one. */
export async function noteMissing(session: Session, id: number): Promise<void> {
  await session.query(`update testdb.templates set state = 'missing', step = null where id = $1`, [id])
}

export async function noteFailed(session: Session, id: number, error: StoredError): Promise<void> {
  await session.query(`update testdb.templates set state = 'failed', step = null, error = $2 where id = $1`, [
    id,
    JSON.stringify(error),
  ])
}
