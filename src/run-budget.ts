/**
 * A run's part of the server's connections: the arithmetic of `pools/budget.ts` meets the registry of `coordination/budget.ts`.
 *
 * Runs of one process (Vitest or Jest `projects` with migrations of their own) never wait for each other: the first one waits for
 * people elsewhere, and the next ones, whose workers are the same, take its part over.
 */
import type { ResolvedConfig } from './config/config.ts'
import { type BudgetState, describeRun, type Reservation, reserveConnections } from './coordination/index.ts'
import { TestDbError } from './errors.ts'
import { publish } from './events.ts'
import {
  comfortOf,
  headroomOf,
  leastOf,
  maxConnectionsFor,
  type Need,
  type ServerConnections,
  shareOf,
  usableOf,
} from './pools/budget.ts'
import { connectionLimit } from './pools/limits.ts'
import type { ConnectionTarget, Session } from './postgres/index.ts'

/** How long a run waits for others to end (ms): as long as for a build. */
const WAIT_MS = 30 * 60_000

/** Names the runs of `testdb run` whose command this process is, or belongs to. */
export const ANCESTORS_VARIABLE = 'TESTDB_INSIDE_RUNS'

const placeOf = ({ host, port, database }: ConnectionTarget): string => `${host}:${port}/${database}`

/** The value of that variable for the command of a run. */
export const withAncestor = (place: ConnectionTarget, runId: number): string =>
  [process.env[ANCESTORS_VARIABLE], `${runId}@${placeOf(place)}`].filter(Boolean).join(' ')

function ancestorsOf(place: ConnectionTarget): number[] {
  const all = (process.env[ANCESTORS_VARIABLE] ?? '').split(' ')
  return all.flatMap((one) => (one.endsWith(`@${placeOf(place)}`) ? Number.parseInt(one, 10) : []))
}

/** What a runner knows of its workers. */
export interface Workers {
  /** Databases that they have in use at the same time. */
  readonly slots: number
  /** How many times that it may be, with `test.concurrent` and a database for each test; counted where there is room. @default 1 */
  readonly concurrency?: number
  /** True for a run that stays for hours: it takes half of what is free, so that others can run beside it. @default false */
  readonly lasting?: boolean
}

export const needOf = ({ isolation, pool }: ResolvedConfig, { slots }: Workers): Need => ({
  slots,
  poolMax: pool.max,
  leased: isolation !== 'shared',
})

/** What an embedded server is started with, so that this run has what it would like to have. */
export const wantedConnections = (config: ResolvedConfig, workers: Workers): number =>
  maxConnectionsFor(comfortOf(needOf(config, workers)), { reserved: 3, foreign: 0 })

/** Reserves the run's part when it is its turn. Throws `TESTDB_BUDGET_EXHAUSTED` when it can not have one. */
export async function reserveForRun(
  session: Session,
  runId: number,
  config: ResolvedConfig,
  workers: Workers,
): Promise<Reservation> {
  const need = needOf(config, workers)
  const reservation = await reserveConnections(session, {
    runId,
    waitTimeoutMs: WAIT_MS,
    ancestors: ancestorsOf(session.target),
    decide(facts, others) {
      const free = usableOf(facts) - held(others)
      // Half of it must be worth having.
      const half = workers.lasting ? part(Math.floor(free / 2), need, workers) : undefined
      const own = half ?? part(free, need, workers)
      return own && { ...own, othersAtMost: usableOf(facts) - own.connections }
    },
    describe: (state) => ({ needed: leastOf(need), free: freeOf(state) }),
    exhausted: (state, waitedMs) => exhausted({ need, state, place: session.target, waitedMs }),
  })
  if (isSqueezed(reservation)) publish('warning.raised', { message: squeezed(reservation) })
  return reservation
}

/** Nobody gets smaller pools for tests that may never run at the same time. */
function part(free: number, need: Need, { concurrency = 1 }: Workers): Reservation | undefined {
  const all = { ...need, slots: need.slots * concurrency }
  return free >= comfortOf(all) ? shareOf(free, all) : shareOf(free, need)
}

/** The part of a further run in the same process: the workers, and what each may open, are those of the first. */
export async function reserveBeside(
  session: Session,
  runId: number,
  config: ResolvedConfig,
  { first, slots: wantedSlots }: { readonly first: Reservation; readonly slots: number },
): Promise<Reservation> {
  const own = config.pool.max === 'auto' ? first.poolMax : config.pool.max
  const limit = Math.max(first.connectionLimit, own <= first.poolMax ? 0 : connectionLimit(own))
  // Its workers may have several databases each, where those of the first have one.
  const slots = Math.max(first.slots, wantedSlots)
  const connections = 1 + slots * limit - first.slots * first.connectionLimit
  const wanted = { slots, poolMax: own, connectionLimit: limit, connections }
  return await reserveConnections(session, {
    runId,
    waitTimeoutMs: 0,
    // The run's own session is there in any case.
    decide: (facts, others) => (connections <= Math.max(1, usableOf(facts) - held(others)) ? wanted : undefined),
    describe: (state) => ({ needed: connections, free: freeOf(state) }),
    exhausted: (state) =>
      exhausted({
        need: { ...needOf(config, { slots }), poolMax: own },
        state,
        place: session.target,
        needed: connections,
      }),
  })
}

/** What the pools of one database, and the database itself, are limited to. */
export type DatabasePart = Pick<Reservation, 'poolMax' | 'connectionLimit'>

/**
 * Further databases for a run that has others in use. It can not wait for anybody, who may wait for it as well; so it takes what
 * there is, and rather than nothing the least from the headroom.
 */
export async function reserveMore(
  session: Session,
  runId: number,
  config: ResolvedConfig,
  { present, databases }: { readonly present: Reservation; readonly databases: number },
): Promise<{ readonly reservation: Reservation; readonly part: DatabasePart }> {
  const need = needOf(config, { slots: databases })
  const needed = present.connections - 1 + leastOf(need)
  let part: DatabasePart = present
  const reservation = await reserveConnections(session, {
    runId,
    waitTimeoutMs: 0,
    decide(facts, others) {
      // The run's own session, which a share counts, is among those that it has.
      const free = usableOf(facts) - held(others) - present.connections + 1
      const least = leastOf(need)
      const one = shareOf(free, need) ?? shareOf(least, need)
      if (!one || least > free + headroomOf(facts.maxConnections)) return undefined
      part = one
      return { ...present, slots: present.slots + databases, connections: present.connections - 1 + one.connections }
    },
    describe: (state) => ({ needed, free: freeOf(state) }),
    exhausted: (state) => {
      const slots = present.slots + databases
      return exhausted({ need: { ...need, slots }, state, place: session.target, needed, has: present.connections })
    },
  })
  return { reservation, part }
}

const held = (others: BudgetState['others']): number => others.reduce((sum, { connections }) => sum + connections, 0)
const freeOf = (state: BudgetState): number => Math.max(0, usableOf(state) - held(state.others))

interface Shortage {
  readonly need: Need
  readonly state: BudgetState
  readonly place: ConnectionTarget
  readonly waitedMs?: number
  /** Connections, if not the least. */
  readonly needed?: number
  /** What the run has of them already. */
  readonly has?: number
}

function exhausted(shortage: Shortage): TestDbError {
  const { need, state, place, waitedMs = 0, needed = leastOf(need), has = 0 } = shortage
  const inside = ancestorsOf(place)
  const workers = need.slots === 1 ? '1 database' : `${need.slots} databases at once`
  const waited = waitedMs < 1_000 ? '' : `, after ${Math.round(waitedMs / 1_000)} s of waiting`
  const lines = [
    `this run needs ${needed} connections for ${workers}, and ${freeOf(state)} are free${has > 0 ? ` (it has ${has} of them)` : ''}${waited}`,
    `  ${arithmetic(state)}`,
    ...state.others.map(
      (run) => `  − ${describeRun(run)}${inside.includes(run.id) ? ', of which this run is a part' : ''}`,
    ),
  ]
  const wanted = maxConnectionsFor(needed + held(state.others), state)
  const fitting = Math.floor((freeOf(state) - 1) / ((needed - 1) / need.slots))
  return new TestDbError('TESTDB_BUDGET_EXHAUSTED', lines.join('\n'), {
    details: { needed, free: freeOf(state), ...describeServer(state), runs: state.others.map(({ id }) => id) },
    fixes: [
      has > 0
        ? 'Release databases that are not needed any more.'
        : fitting >= 1
          ? `Start fewer workers: ${fitting} fit (Vitest and Jest: --maxWorkers ${fitting}).`
          : 'End other runs, or sessions that nobody needs.',
      `Set max_connections of the server to ${wanted} or more.`,
      ...(need.poolMax === 'auto' || need.poolMax === 1 ? [] : ["Set `pool: { max: 'auto' }`, or a smaller number."]),
      'Run `npx testdb doctor --budget` to see the numbers, and `npx testdb status` to see who is connected.',
    ],
  })
}

/** `max_connections 60 − 3 reserved − 10 of other people − 6 headroom = 41`. */
function arithmetic(server: ServerConnections): string {
  const { maxConnections, reserved, foreign } = server
  const terms = [`${reserved} reserved`, `${foreign} of other people`, `${headroomOf(maxConnections)} headroom`]
  return `max_connections ${maxConnections} − ${terms.join(' − ')} = ${usableOf(server)} for test runs`
}

const describeServer = ({ maxConnections, reserved, foreign }: ServerConnections): Record<string, number> => ({
  maxConnections,
  reserved,
  foreign,
})

/** Not even two pools of that size can be open. */
const isSqueezed = ({ poolMax, connectionLimit: limit }: Reservation): boolean =>
  limit > poolMax && limit < connectionLimit(poolMax)

function squeezed({ slots, poolMax, connectionLimit: limit }: Reservation): string {
  const what = `the server's connections are few for ${slots === 1 ? '1 worker' : `${slots} workers`}: pool.max is ${poolMax}, and ${limit - 1} can be open on each database`
  return `${what}. Start fewer workers, or raise max_connections (npx testdb doctor --budget says to what)`
}
