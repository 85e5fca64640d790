/** The guard `severalPools`: an engine that was made twice, or a pool for each request. Pools from different places are meant. */
import type { Found } from './found.ts'

export interface PlacedPool {
  /** Where it was made; undefined where that is not known. */
  readonly place: string | undefined
  readonly database: string
  /** Pools that differ in it are meant to be two: the user and the application name of their connections. */
  readonly purpose: string
  readonly kind: string
  readonly connections: number
}

export function severalPools(who: string, pools: readonly PlacedPool[]): Found[] {
  const groups = new Map<string, PlacedPool[]>()
  for (const pool of pools) {
    if (pool.place === undefined) continue
    const key = `${pool.place} ${pool.database} ${pool.purpose}`
    groups.set(key, [...(groups.get(key) ?? []), pool])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (!first || group.length < 2) return []
    const connections = group.reduce((sum, pool) => sum + pool.connections, 0)
    return {
      message: `when ${who} ended, ${group.length} pools (${first.kind}) that were made at ${first.place} were open to ${first.database}, with ${connections} connections`,
      advice: [
        'Make one pool in one module, and hand it to whoever needs it; a pool for each request is none.',
        'If they are meant to be several, give each an `application_name` of its own.',
      ],
      details: { place: first.place, database: first.database, pools: group.length, connections },
    }
  })
}
