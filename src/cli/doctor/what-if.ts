/**
 * The connections of an application in production, as arithmetic: does its pool carry its load, and does its server carry its pools?
 * Nothing is connected to.
 */
import { headroomOf, maxConnectionsFor, type ServerConnections, usableOf } from '../../pools/budget.ts'
import { DEFAULT_LIMITS } from '../../pools/limits.ts'

/** Connections, unless it says something else. */
export interface WhatIfQuestion {
  /** People who use the application at the same time; each holds a connection. */
  readonly users?: number
  readonly background?: number
  readonly maintenance?: number
  /** `max` of each pod's pool. @default 10, as in Knex and pg */
  readonly pool?: number
  /** Processes with a pool each. @default 1 */
  readonly pods?: number
  /** `max` of each pod's pool for advisory locks; 0: locks take connections of the pool. */
  readonly lockPool?: number
  readonly server: ServerInQuestion
}

export interface ServerInQuestion {
  readonly maxConnections: number
  readonly reserved: number
  /** Where the number came from, for people. */
  readonly origin: string
}

export interface LoadAnswer {
  readonly users: number
  readonly background: number
  readonly maintenance: number
  readonly needed: number
  readonly given: number
  readonly missing: number
  /** What is missing, in percent of what is given, with one decimal. */
  readonly percent: number
  /** `pool.max` of each pod that carries the load. */
  readonly fittingPool: number
}

export interface ServerAnswer extends ServerInQuestion {
  readonly headroom: number
  readonly usable: number
  readonly opened: number
  readonly missing: number
  readonly percent: number
  /** The largest `pool.max` that the server carries; null when there is none that also carries the load. */
  readonly fittingPool: number | null
  /** The least `max_connections` for these pools, or for those that the load needs; null: more than Postgres can have. */
  readonly fittingMaxConnections: number | null
}

export interface WhatIf {
  readonly pods: number
  readonly pool: number
  /** Null when it was not asked about. */
  readonly lockPool: number | null
  /** Null without users, background and maintenance. */
  readonly load: LoadAnswer | null
  readonly server: ServerAnswer
}

/** With a single connection a query beside an open transaction waits for ever. */
export const LEAST_POOL = 2
/** Source: guc_tables.c, MAX_BACKENDS. */
const MOST_CONNECTIONS = 262_143

/** `superuser_reserved_connections` and `max_connections` of a server that nobody has configured. */
export const UNCONFIGURED: ServerInQuestion = { maxConnections: 100, reserved: 3, origin: "Postgres' default" }

export function whatIf(question: WhatIfQuestion): WhatIf {
  const { pods = 1, pool = DEFAULT_LIMITS.max, lockPool } = question
  const load = loadOf(question, pods, pool)
  return { pods, pool, lockPool: lockPool ?? null, load, server: serverOf(question, pods, pool, load) }
}

function loadOf(question: WhatIfQuestion, pods: number, pool: number): LoadAnswer | null {
  const { users, background, maintenance } = question
  if (users === undefined && background === undefined && maintenance === undefined) return null
  const parts = { users: users ?? 0, background: background ?? 0, maintenance: maintenance ?? 0 }
  const needed = parts.users + parts.background + parts.maintenance
  const given = pods * pool
  return { ...parts, needed, given, ...missingOf(needed, given), fittingPool: poolFor(needed, pods) }
}

const poolFor = (needed: number, pods: number): number => Math.max(LEAST_POOL, Math.ceil(needed / pods))

function serverOf(
  { server, lockPool = 0 }: WhatIfQuestion,
  pods: number,
  pool: number,
  load: LoadAnswer | null,
): ServerAnswer {
  const has: ServerConnections = { ...server, foreign: 0 }
  const usable = usableOf(has)
  const opened = pods * (pool + lockPool)
  const largest = Math.floor(usable / pods) - lockPool
  const least = load?.fittingPool ?? LEAST_POOL
  // A pool that the load does not fit into will be replaced by one that it does.
  const wanted = load !== null && load.missing > 0 ? load.fittingPool : pool
  const max = maxConnectionsFor(pods * (wanted + lockPool), has)
  return {
    ...server,
    headroom: headroomOf(server.maxConnections),
    usable,
    opened,
    ...missingOf(opened, usable),
    fittingPool: largest >= least ? largest : null,
    fittingMaxConnections: max <= MOST_CONNECTIONS ? max : null,
  }
}

function missingOf(needed: number, given: number): { missing: number; percent: number } {
  const missing = Math.max(0, needed - given)
  // Of nothing, everything is missing.
  return { missing, percent: given === 0 ? (missing === 0 ? 0 : 100) : Math.round((missing / given) * 1000) / 10 }
}
