/** The guard `openPool`: a pool that nobody has closed when its file was over. */
import { counted, type Found } from './found.ts'
import type { PlacedPool } from './several-pools.ts'

/** One for each place. Only of a process that runs further files: elsewhere a pool goes with its process. */
export function openPool(who: string, pools: readonly PlacedPool[]): Found[] {
  const places = new Map<string, PlacedPool[]>()
  for (const pool of pools) {
    const place = pool.place ?? 'a place that is not known'
    places.set(place, [...(places.get(place) ?? []), pool])
  }
  return [...places].map(([place, group]) => {
    const connections = group.reduce((sum, pool) => sum + pool.connections, 0)
    return {
      message: `${counted(group.length, 'pool')} (${group[0]?.kind}) made at ${place} had not been closed at the end of ${who}, with ${counted(connections, 'connection')}; the process runs further files, and it stays open meanwhile`,
      advice: [
        'Close it in `afterAll` (`await pool.end()`, `await knex.destroy()`), or use `db.pool`, which testdb closes.',
      ],
      details: { place, pools: group.length, connections },
    }
  })
}
