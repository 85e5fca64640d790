/** The guard `openPool`: a pool that nobody has closed when its file was over. */
import { counted, type Found } from './found.ts'
import type { PlacedPool } from './several-pools.ts'

export interface OpenPools {
  readonly pools: readonly PlacedPool[]
  /** The process runs further files, with these connections open. */
  readonly processStays: boolean
}

/** One for each place. */
export function openPool(who: string, { pools, processStays }: OpenPools): Found[] {
  const places = new Map<string, PlacedPool[]>()
  for (const pool of pools) {
    const place = pool.place ?? 'a place that is not known'
    places.set(place, [...(places.get(place) ?? []), pool])
  }
  return [...places].map(([place, group]) => {
    const connections = group.reduce((sum, pool) => sum + pool.connections, 0)
    const means = processStays
      ? 'the process runs further files, and the connections of this one stay open meanwhile'
      : 'the process ends with the file, and its connections with it'
    return {
      message: `${counted(group.length, 'pool')} (${group[0]?.kind}) made at ${place} had not been closed at the end of ${who}, with ${counted(connections, 'connection')}; ${means}`,
      advice: [
        'Close it in `afterAll` (`await pool.end()`, `await knex.destroy()`), or use `db.pool`, which testdb closes.',
      ],
      details: { place, pools: group.length, connections, processStays },
    }
  })
}
