/**
 * The arithmetic of the budget: how many connections a server can give to test runs, and what a run of so many workers gets.
 *
 *   usable = max_connections − reserved − other people's sessions − headroom
 *   usable ≥ Σ runs (1 + Σ slots (what a slot costs))
 *
 * A run holds one session; a slot (a worker) holds the lease and what tests open on its database, `CONNECTION LIMIT` in all, and
 * for moments a session in the maintenance database: 1 + limit. Where that does not fit, a slot is squeezed down to the lease and
 * one full pool; the moments are then the headroom's. With a schema instead of a database it costs the same, although nobody
 * enforces the limit there: `CONNECTION LIMIT` belongs to databases.
 */
import { connectionLimit, DEFAULT_LIMITS } from './limits.ts'

/** What a server has, as it says itself. */
export interface ServerConnections {
  readonly maxConnections: number
  /** `superuser_reserved_connections` and `reserved_connections` together. */
  readonly reserved: number
  /** Sessions that testdb knows nothing of. */
  readonly foreign: number
}

/** A tenth is left for what comes and goes: commands, refused connections on their way out, somebody's psql. */
const HEADROOM = 0.1

export const headroomOf = (maxConnections: number): number => Math.ceil(maxConnections * HEADROOM)

/** Connections for all runs together; not below 0. */
export function usableOf({ maxConnections, reserved, foreign }: ServerConnections): number {
  return Math.max(0, maxConnections - reserved - foreign - headroomOf(maxConnections))
}

export interface Need {
  /** Databases that the run has in use at the same time at most. */
  readonly slots: number
  /** `pool.max`; `auto`: as much as there is, 10 at most. */
  readonly poolMax: number | 'auto'
  /** False where all slots use one shared database: no lease, and no limit that the server could enforce. */
  readonly leased: boolean
}

/** What a run gets. */
export interface Share {
  readonly slots: number
  readonly poolMax: number
  /** `CONNECTION LIMIT` of each database, testdb's own session included. */
  readonly connectionLimit: number
  /** What the run may open in all, its own session included: what it reserves. */
  readonly connections: number
}

/** The run's own session, which coordinates. */
const RUN = 1
/** The session in the maintenance database that a slot opens for moments. */
const MOMENT = 1
/** The session that holds the lease. */
const LEASE = 1

/** What a run with such a share may open in all. A limit that leaves room for two pools leaves room for the moments too. */
export function connectionsOf(part: Omit<Share, 'connections'> & Pick<Need, 'leased'>): number {
  const { slots, poolMax, connectionLimit: limit, leased } = part
  const moment = leased && limit >= connectionLimit(poolMax) ? MOMENT : 0
  return RUN + slots * (limit + moment)
}

/** The share that fits into `free` connections; undefined when not even the least does. */
export function shareOf(free: number, need: Need): Share | undefined {
  const perSlot = Math.floor((free - RUN) / need.slots)
  if (!need.leased) return sharedShare(perSlot, need)
  const poolMax = need.poolMax === 'auto' ? roomyMax(perSlot) : need.poolMax
  const roomy = connectionLimit(poolMax)
  if (perSlot >= MOMENT + roomy) return share(need, poolMax, roomy)
  const limit = Math.min(perSlot, roomy - 1)
  return limit >= LEASE + poolMax ? share(need, poolMax, limit) : undefined
}

/** The least that a run can do with (connections), its own session included. */
export function leastOf({ slots, poolMax, leased }: Need): number {
  const max = poolMax === 'auto' ? 1 : poolMax
  return RUN + slots * (max + (leased ? LEASE : 0))
}

/** What a run would like to have (connections): nobody needs to be squeezed then. */
export function comfortOf({ slots, poolMax, leased }: Need): number {
  const max = poolMax === 'auto' ? DEFAULT_LIMITS.max : poolMax
  return connectionsOf({ slots, poolMax: max, connectionLimit: leased ? connectionLimit(max) : max, leased })
}

/** The largest pool whose database may have two of them open. */
function roomyMax(perSlot: number): number {
  const fitting = Math.floor((perSlot - MOMENT - connectionLimit(0)) / 2)
  return Math.min(DEFAULT_LIMITS.max, Math.max(1, fitting))
}

function sharedShare(perSlot: number, need: Need): Share | undefined {
  const poolMax = need.poolMax === 'auto' ? Math.min(DEFAULT_LIMITS.max, perSlot) : need.poolMax
  return poolMax >= 1 && perSlot >= poolMax ? share(need, poolMax, poolMax) : undefined
}

function share({ slots, leased }: Need, poolMax: number, limit: number): Share {
  const part = { slots, poolMax, connectionLimit: limit }
  return { ...part, connections: connectionsOf({ ...part, leased }) }
}

/** The smallest `max_connections` whose usable part is `wanted`, with what is reserved and used by others as it is now. */
export function maxConnectionsFor(
  wanted: number,
  { reserved, foreign }: Omit<ServerConnections, 'maxConnections'>,
): number {
  const rest = wanted + reserved + foreign
  let max = Math.ceil(rest / (1 - HEADROOM))
  // Rounding up both the headroom and the quotient may leave one or two too many, or one too few.
  while (max - 1 - headroomOf(max - 1) >= rest) max--
  while (max - headroomOf(max) < rest) max++
  return max
}
