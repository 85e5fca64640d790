/** The guards that look at the pools of this process. */
import { setTimeout } from 'node:timers/promises'
import type { WorkerDatabase } from '../../databases/database.ts'
import { checkedOutClient } from '../../guards/checked-out-client.ts'
import { openPool } from '../../guards/open-pool.ts'
import { type PlacedPool, severalPools } from '../../guards/several-pools.ts'
import { giveBack, notesOf, openPools, placeOf, poolsSeen, type SeenPool } from '../../postgres/index.ts'
import type { Place } from './places.ts'
import type { RaiseOptions, Verdict } from './verdict.ts'

/** How long a query that nobody awaited may take to give its client back (ms). */
const GIVE_BACK_MS = 300
const LOOK_MS = 10

export interface PoolsOf {
  readonly database: WorkerDatabase
  readonly port: number
  readonly folder: string | undefined
}

/** What was told of pools: they live longer than a file, where its worker does. */
export interface KnownPools {
  seen: number
  readonly several: Map<string, number>
  readonly taken: WeakSet<object>
}

const allOf = ({ database, port }: PoolsOf): { readonly name: string; readonly pool: SeenPool }[] =>
  database.all.flatMap(({ name }) => openPools(name, port).map((pool) => ({ name, pool })))

const placed = ({ name, pool }: { readonly name: string; readonly pool: SeenPool }): PlacedPool => ({
  place: placeOf(pool.made),
  database: name,
  purpose: pool.purpose,
  kind: pool.kind,
  connections: pool.connections,
})

/** Free while no pool was made since it was called last. */
export function lookForSeveralPools(verdict: Verdict, who: string, of: PoolsOf, known: KnownPools): void {
  if (known.seen === poolsSeen() || verdict.levelOf('severalPools') === 'off') return
  known.seen = poolsSeen()
  const others = allOf(of).filter(({ pool }) => !pool.own)
  if (others.length < 2) return
  const grown = severalPools(who, others.map(placed)).filter(({ details }) => {
    const key = `${details.place} ${details.database}`
    const more = Number(details.pools) > (known.several.get(key) ?? 0)
    known.several.set(key, Number(details.pools))
    return more
  })
  verdict.raise('severalPools', grown, onceForEachPlace(of))
}

const onceForEachPlace = ({ folder }: PoolsOf): RaiseOptions => ({
  folder,
  once: ({ details }) => String(details.place),
})

export interface AtTheEnd {
  /** The file, or the test that has a database for itself. */
  readonly who: string
  readonly of: PoolsOf
  readonly known: KnownPools
  readonly processStays: boolean
}

/** On the pool itself, because the files of one process may have copies of this one. */
function toldOpen({ pool }: SeenPool): boolean {
  const notes = notesOf<{ toldOpen?: boolean }>(pool)
  const told = notes.toldOpen === true
  notes.toldOpen = true
  return told
}

/** Before pools are closed by testdb: clients that were not given back, pools that are open. */
export async function lookAtPoolsAtTheEnd(verdict: Verdict, { who, of, known, processStays }: AtTheEnd): Promise<void> {
  // Before a connection is ended here.
  const open = allOf(of).filter(({ pool }) => !pool.own)
  const isNew = ({ client }: SeenPool['taken'][number]): boolean => !known.taken.has(client)
  const taken = () => allOf(of).flatMap(({ pool }) => pool.taken.filter(isNew).map((one) => ({ ...one, pool })))
  if (verdict.levelOf('checkedOutClient') !== 'off') {
    for (let waited = 0; waited < GIVE_BACK_MS && taken().length > 0; waited += LOOK_MS) await setTimeout(LOOK_MS)
    const left = taken()
    verdict.raise(
      'checkedOutClient',
      checkedOutClient(
        who,
        left.map(({ notes, pool }) => ({
          takenBy: (notes.takenBy as Place | undefined)?.who,
          statement: notes.statement,
          place: pool.own ? 'testdb (`db`)' : placeOf(pool.made),
        })),
      ),
    )
    for (const { client, pool } of left) {
      known.taken.add(client)
      if (verdict.levelOf('checkedOutClient') === 'error') giveBack(pool, client)
    }
  }
  // It goes with its process, and most applications have one in a module that nobody closes.
  if (verdict.levelOf('openPool') === 'off' || !processStays) return
  // The next file is not to answer for it.
  const fresh = open.filter(({ pool }) => !toldOpen(pool))
  verdict.raise('openPool', openPool(who, fresh.map(placed)), onceForEachPlace(of))
}
