/** Runs: one invocation of a test runner, alive as long as its session. */
import { hostname } from 'node:os'
import { type Session, tryLock } from '../postgres/index.ts'
import { isRunAlive } from './liveness.ts'

export interface RunRow {
  readonly id: number
  readonly project: string
  readonly runner: string
  readonly templateId: number | null
  readonly pid: number
  readonly host: string
  readonly ageSeconds: number
  /** What it may open in all, its own session included (budget.ts). */
  readonly connections: number
  readonly slots: number | null
  /** `CONNECTION LIMIT` of each of its databases. */
  readonly connectionLimit: number | null
  /** True while it waits for its part of the budget. */
  readonly waiting: boolean
}

/**
 * Registers a run and holds its lock on `session`; returns its id.
 * The lock comes before the row, so that nobody can take the row of a starting run for that of a dead one.
 */
export async function beginRun(
  session: Session,
  run: { readonly project: string; readonly runner: string },
): Promise<number> {
  const { rows } = await session.query<{ id: number }>(`select nextval('testdb.run_ids')::int as id`)
  const id = rows[0]?.id ?? 0
  if (!(await tryLock(session, 'run', id))) throw new Error(`bug: run id ${id} is taken`)
  await session.query('insert into testdb.runs (id, project, runner, pid, host) values ($1, $2, $3, $4, $5)', [
    id,
    run.project,
    run.runner,
    process.pid,
    hostname(),
  ])
  return id
}

/** Notes which template a run uses, which protects it from every prune. */
export async function useTemplate(session: Session, runId: number, templateId: number): Promise<void> {
  await session.query('update testdb.runs set template_id = $2 where id = $1', [runId, templateId])
  await session.query('update testdb.templates set last_used = now() where id = $1', [templateId])
}

export async function endRun(session: Session, runId: number): Promise<void> {
  await session.query('delete from testdb.runs where id = $1', [runId])
}

/** Removes the rows of runs whose process is gone. */
export async function forgetDeadRuns(session: Session): Promise<void> {
  await session.query(`delete from testdb.runs r where not ${isRunAlive('r.id')}`)
}

export const LIVE_RUNS = `
  select id, project, runner, template_id as "templateId", pid, host,
         extract(epoch from now() - started_at)::float as "ageSeconds",
         connections, slots, connection_limit as "connectionLimit", waiting_since is not null as waiting
    from testdb.runs r where ${isRunAlive('r.id')} order by started_at`

export async function liveRuns(session: Session): Promise<RunRow[]> {
  const { rows } = await session.query<RunRow>(LIVE_RUNS)
  return rows
}
