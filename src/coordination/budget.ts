/**
 * The budget: the server's connections, divided among the runs that live. What a run may open is written in its row, so runs
 * that start at the same moment see each other's part; whether a run lives is told by its lock, so the part of a dead one is free.
 *
 *   look, decide ── enough left ──► claim: one statement, alone, that fails when others have taken too much meanwhile ──► reserved
 *        │                            └── failed ──► waiting
 *        └── not enough ──► waiting, first come first served ── a run ends, NOTIFY ──► look again
 *                             └── not even an empty server would do, or it takes too long ──► TESTDB_BUDGET_EXHAUSTED
 *
 * What if the process dies here? While it claims: the transaction is rolled back. While it waits, and after it has reserved: its row
 * no longer counts as soon as its session has ended. A death sends no notification; the re-check covers it.
 */
import { publish } from '../events.ts'
import { LOCK_SPACE, type Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { isRunAlive } from './liveness.ts'
import { Waker } from './notifier.ts'
import { LIVE_RUNS, type RunRow } from './runs.ts'
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

export interface Decision extends Reservation {
  /** What the others may have in the moment in which the part is taken, in connections. @default what they had when it was decided */
  readonly othersAtMost?: number
}

export interface ReservationRequest {
  readonly runId: number
  /** The part that the run takes; undefined when what is free is not enough. `others`: the runs that it has to leave theirs. */
  readonly decide: (facts: ConnectionFacts, others: readonly RunRow[]) => Decision | undefined
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
  const { rows } = await session.query<ConnectionFacts>(connectionFacts(await hasRegistry(session)))
  return rows[0] as ConnectionFacts
}

/**
 * Roles without pg_monitor do not see what kind of process a session belongs to. The functions behind the views: planning the views
 * costs more than all the rest of a reservation.
 */
const connectionFacts = (registered: boolean): string => `
  select current_setting('max_connections')::int as "maxConnections",
         current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
         (select count(*)::int from pg_stat_get_activity(null) a join pg_database d on d.oid = a.datid
           where coalesce(backend_type, 'client backend') = 'client backend'
             and not (datname = current_database() and application_name like 'testdb%')
             ${registered ? `and datname not in (${OUR_DATABASES})` : ''}) as foreign`

const OUR_DATABASES = `select name from testdb.databases
  union all select name from testdb.templates where name is not null
  union all select staging from testdb.templates where staging is not null`

/** Reserves the run's part of the budget, when it is its turn. */
export async function reserveConnections(session: Session, request: ReservationRequest): Promise<Reservation> {
  const startedAt = performance.now()
  const patient = request.waitTimeoutMs > 0
  let waker: Waker | undefined
  try {
    for (;;) {
      const state = await look(session, request.runId)
      const decision = request.decide(state, state.others)
      const elapsedMs = performance.now() - startedAt
      if (decision && (await claim(session, request, decision, held(state.others)))) {
        const { othersAtMost, ...reservation } = decision
        const { connections, poolMax } = reservation
        publish('budget.reserved', { connections, poolMax, waitedMs: elapsedMs })
        reached('run.reserved')
        return reservation
      }
      // Others were quicker, and there may be enough left.
      if (decision && !patient) continue
      const staying = state.others.filter(({ id }) => request.ancestors?.includes(id))
      const hopeless = request.decide(state, staying) === undefined
      if (!patient || hopeless || elapsedMs > request.waitTimeoutMs) {
        // A run that has given up, and lives, must not stand in the way of those behind it.
        await session.query('update testdb.runs set waiting_since = null where id = $1', [request.runId])
        throw request.exhausted(state, elapsedMs)
      }
      if (waker) {
        publish('budget.waiting', { ...request.describe(state), holders: state.others.map(describeRun), elapsedMs })
        reached('run.waitsForConnections')
        await waker.wait(RECHECK_MS)
      } else {
        // From here on nobody who comes later goes first; what has ended before is seen by the next look.
        waker = await Waker.listen(session, CHANNEL.runs)
        await session.query('update testdb.runs set waiting_since = clock_timestamp() where id = $1', [request.runId])
      }
    }
  } finally {
    await waker?.close()
  }
}

const held = (runs: readonly RunRow[]): number => runs.reduce((sum, { connections }) => sum + connections, 0)

/** In one round trip: while dozens of processes start, each one costs them far more than the server. */
async function look(session: Session, runId: number): Promise<BudgetState> {
  const [facts, runs] = await session.batch(`${connectionFacts(true)}; ${LIVE_RUNS}`)
  const others = (runs?.rows as unknown as RunRow[] | undefined)?.filter(({ id }) => id !== runId) ?? []
  return { ...(facts?.rows[0] as unknown as ConnectionFacts), others }
}

/**
 * Takes the part, unless the others have more by now, or somebody has waited for longer; true when it has it.
 * One after the other: two at the same moment would both take the last connections. Who can not wait asks nobody to go first.
 */
async function claim(
  session: Session,
  { runId, waitTimeoutMs }: ReservationRequest,
  { slots, connectionLimit, connections, othersAtMost }: Decision,
  othersHad: number,
): Promise<boolean> {
  const others = `testdb.runs r where r.id <> me.id and ${isRunAlive('r.id')}`
  const first = `not exists (select from ${others} and r.waiting_since is not null
      and (me.waiting_since is null or (r.waiting_since, r.id) < (me.waiting_since, me.id)))`
  const results = await session.batch(
    `select pg_advisory_xact_lock(${LOCK_SPACE.setup}, 3);
     update testdb.runs me set slots = ${slots}, connection_limit = ${connectionLimit}, connections = ${connections}, waiting_since = null
      where id = ${runId} and ${waitTimeoutMs > 0 ? first : 'true'}
        and (select coalesce(sum(r.connections), 0) from ${others}) <= ${Math.max(othersHad, othersAtMost ?? 0)}`,
  )
  return results[1]?.rowCount === 1
}

/** A run in words, with what it holds. */
export function describeRun({ id, runner, project, pid, host, connections, waiting }: RunRow): string {
  const part = waiting ? 'waiting too' : `${connections} connections`
  return `run #${id} (${runner} in ${project}, pid ${pid} on ${host}): ${part}`
}
