/**
 * The budget: the server's connections, divided among the runs that live. What a run may open is written in its row, so runs
 * that start at the same moment see each other's part; whether a run lives is told by its lock, so the part of a dead one is free.
 *
 *   enough left ──► reserved
 *   not enough  ──► waiting, first come first served ── a run ends, NOTIFY ──► look again
 *                     └── not even an empty server would do, or it takes too long ──► TESTDB_BUDGET_EXHAUSTED
 *
 * What if the process dies here? While it looks: the transaction is rolled back. While it waits, and after it has reserved: its row
 * no longer counts as soon as its session has ended. A death sends no notification; the re-check covers it.
 */
import { publish } from '../events.ts'
import { LOCK_SPACE, type Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { isRunAlive } from './liveness.ts'
import { Waker } from './notifier.ts'
import { liveRuns, type RunRow } from './runs.ts'
import { CHANNEL, hasRegistry } from './schema.ts'

/** How long the end of a run that was killed can go unnoticed (ms). */
const RECHECK_MS = 1_000

/** The server's connections as they are now. */
export interface ConnectionFacts {
  readonly maxConnections: number
  /** `superuser_reserved_connections` and, since 16, `reserved_connections`. */
  readonly reserved: number
  /** Sessions that are none of testdb's and on none of its databases. */
  readonly foreign: number
}

export interface BudgetState extends ConnectionFacts {
  /** The other runs that live. */
  readonly others: readonly RunRow[]
}

export interface Reservation {
  readonly slots: number
  readonly poolMax: number
  readonly connectionLimit: number
  /** In all, the run's own session included. */
  readonly connections: number
}

export interface ReservationRequest {
  readonly runId: number
  /** The part that the run takes; undefined when what is free is not enough. `others`: the runs that it has to leave theirs. */
  readonly decide: (facts: ConnectionFacts, others: readonly RunRow[]) => Reservation | undefined
  /** Connections that are needed and free, for people who wait. */
  readonly describe: (state: BudgetState) => { readonly needed: number; readonly free: number }
  /** Makes the error of a run that can not have its part. */
  readonly exhausted: (state: BudgetState, waitedMs: number) => Error
  /** Runs that can not end before this one; to wait for them would be to wait for itself. */
  readonly ancestors?: readonly number[]
  /** Milliseconds to wait for other runs; 0: not at all, for who holds something that others wait for. */
  readonly waitTimeoutMs: number
}

/** Reads the server's connections. Right in the maintenance database, where the registry is, if there is one yet. */
export async function readConnectionFacts(session: Session): Promise<ConnectionFacts> {
  const ours = (await hasRegistry(session))
    ? `exists (select from testdb.databases d where d.name = a.datname)
        or exists (select from testdb.templates t where a.datname in (t.name, t.staging))`
    : 'false'
  const { rows } = await session.query<ConnectionFacts>(
    // Roles without pg_monitor do not see what kind of process a session belongs to.
    `select current_setting('max_connections')::int as "maxConnections",
            (select coalesce(sum(setting::int), 0)::int from pg_settings
              where name in ('superuser_reserved_connections', 'reserved_connections')) as reserved,
            (select count(*)::int from pg_stat_activity a
              where datname is not null and coalesce(backend_type, 'client backend') = 'client backend'
                and not (datname = current_database() and application_name like 'testdb%')
                and not (${ours})) as foreign`,
  )
  return rows[0] ?? { maxConnections: 0, reserved: 0, foreign: 0 }
}

/** Reserves the run's part of the budget, when it is its turn. */
export async function reserveConnections(session: Session, request: ReservationRequest): Promise<Reservation> {
  const startedAt = performance.now()
  const waker = request.waitTimeoutMs === 0 ? undefined : await Waker.listen(session, CHANNEL.runs)
  try {
    for (;;) {
      const { state, reservation } = await session.transaction(() => attempt(session, request))
      const elapsedMs = performance.now() - startedAt
      if (reservation) {
        const { connections, poolMax } = reservation
        publish('budget.reserved', { connections, poolMax, waitedMs: elapsedMs })
        reached('run.reserved')
        return reservation
      }
      const staying = state.others.filter(({ id }) => request.ancestors?.includes(id))
      const hopeless = request.decide(state, staying) === undefined
      if (!waker || hopeless || elapsedMs > request.waitTimeoutMs) {
        // A run that has given up, and lives, must not stand in the way of those behind it.
        await session.query('update testdb.runs set waiting_since = null where id = $1', [request.runId])
        throw request.exhausted(state, elapsedMs)
      }
      publish('budget.waiting', { ...request.describe(state), holders: state.others.map(describeRun), elapsedMs })
      reached('run.waitsForConnections')
      await waker.wait(RECHECK_MS)
    }
  } finally {
    await waker?.close()
  }
}

interface Attempt {
  readonly state: BudgetState
  readonly reservation: Reservation | undefined
}

async function attempt(session: Session, { runId, decide, waitTimeoutMs }: ReservationRequest): Promise<Attempt> {
  // One after the other: two that look at the same moment would both take the last connections.
  await session.query('select pg_advisory_xact_lock($1, 3)', [LOCK_SPACE.setup])
  const facts = await readConnectionFacts(session)
  const others = (await liveRuns(session)).filter(({ id }) => id !== runId)
  const state = { ...facts, others }
  const mayGo = waitTimeoutMs === 0 || (await isFirst(session, runId))
  const reservation = mayGo ? decide(facts, others) : undefined
  if (reservation) {
    const { slots, connectionLimit, connections } = reservation
    await session.query(
      `update testdb.runs set slots = $2, connection_limit = $3, connections = $4, waiting_since = null where id = $1`,
      [runId, slots, connectionLimit, connections],
    )
  } else if (waitTimeoutMs > 0) {
    await session.query(
      'update testdb.runs set waiting_since = coalesce(waiting_since, clock_timestamp()) where id = $1',
      [runId],
    )
  }
  return { state, reservation }
}

/** True when nobody has waited for longer. */
async function isFirst(session: Session, runId: number): Promise<boolean> {
  const { rows } = await session.query<{ first: boolean }>(
    `select not exists (
       select from testdb.runs r join testdb.runs me on me.id = $1
        where r.id <> me.id and r.waiting_since is not null
          and (me.waiting_since is null or (r.waiting_since, r.id) < (me.waiting_since, me.id)) and ${isRunAlive('r.id')}) as first`,
    [runId],
  )
  return rows[0]?.first === true
}

/** A run in words, with what it holds. */
export function describeRun({ id, runner, project, pid, host, connections, waiting }: RunRow): string {
  const part = waiting ? 'waiting too' : `${connections} connections`
  return `run #${id} (${runner} in ${project}, pid ${pid} on ${host}): ${part}`
}
