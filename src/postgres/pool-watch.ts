/**
 * The pools of this process: where they were made, who has taken their clients, to which database they are connected. A pool is
 * remembered, weakly, when it is made or first asked for a connection; Postgres does not know that connections belong together.
 */
import pg from 'pg'
import { timeAcquire } from './acquires.ts'
import { loadedPrototypes, ownerOf } from './driver-copies.ts'
import { type ClientNotes, type DriverClient, listenerFor, notesOf, type PoolNotes } from './driver-notes.ts'
import { isOwn } from './own.ts'
import { type Kind, KNEX, PG } from './pool-kinds.ts'

type Method = (this: object, ...args: unknown[]) => unknown
type Prototype = Record<string, Method> & { [SEEN]?: Seen }

/** A pool of the user's that is open and connected to the database that was asked for. */
export interface SeenPool {
  readonly kind: 'pg.Pool' | 'Knex'
  readonly pool: object
  /** The stack of where it was made; undefined where that was before testdb watched. */
  readonly made: Error | undefined
  /** Made by testdb: `db.pool`, `db.knex()`. */
  readonly own: boolean
  readonly connections: number
  /** User and application name of its connections: who differs in these is meant to be another pool. */
  readonly purpose: string
  /** Clients that were taken and not given back. */
  readonly taken: readonly { readonly client: DriverClient; readonly notes: ClientNotes }[]
}

class Seen {
  readonly kind: Kind
  readonly #known = new WeakSet<object>()
  /** Those that tell who takes their clients. */
  readonly listened = new WeakSet<object>()
  #pools: WeakRef<object>[] = []

  constructor(kind: Kind) {
    this.kind = kind
  }

  add(pool: object): void {
    if (this.#known.has(pool)) return
    this.#known.add(pool)
    this.#pools = this.#pools.filter((one) => one.deref() !== undefined)
    this.#pools.push(new WeakRef(pool))
    total.pools++
  }

  get pools(): object[] {
    return this.#pools.flatMap((one) => one.deref() ?? [])
  }
}

/** On the prototypes themselves: several copies of this file may meet one copy of the driver. */
const SEEN = Symbol.for('testdb.pools')
const prototypes = new Set<Prototype>()
const total = { pools: 0 }

/** Remembers from now on which pools are used: of our copy of the driver, and of those that the project has loaded so far. */
export function watchPools(): void {
  watch(ownerOf(pg.Pool.prototype, PG.method), PG)
  for (const kind of [PG, KNEX]) for (const prototype of loadedPrototypes(kind.file)) watch(prototype, kind)
}

/** How many of them have a connection to that database now. */
export function countPools(database: string, port: number): number {
  return seen().filter(({ kind, pool }) => kind.clientsOf(pool as never).some(isTo(database, port))).length
}

/** Grows with each pool that is seen for the first time: who has looked at them before need not look again. */
export const poolsSeen = (): number => total.pools

/** Those that are connected to that database and that nobody has closed. */
export function openPools(database: string, port: number): SeenPool[] {
  const isHere = isTo(database, port)
  return seen().flatMap(({ kind, pool }) => {
    if (kind.isClosed(pool as never)) return []
    const clients = kind.clientsOf(pool as never).filter(isHere)
    if (clients.length === 0) return []
    const taken = kind.takenOf(pool as never).filter(isHere)
    const { made } = notesOf<Partial<PoolNotes>>(pool)
    return {
      kind: kind.name,
      pool,
      made,
      own: isOwn(pool),
      connections: clients.length,
      purpose: purposeOf(clients[0]),
      taken: taken.map((client) => ({ client, notes: notesOf<ClientNotes>(client) })),
    }
  })
}

/** Takes a client from who has forgotten it, and ends its connection: what it has begun is not for the next one. */
export function giveBack({ kind, pool }: SeenPool, client: DriverClient): void {
  client.on('error', () => undefined)
  ;(kind === PG.name ? PG : KNEX).giveBack(pool as never, client)
  client.connection?.stream?.destroy()
}

/** The end of these backends is not to be an uncaught exception of the pools that have them. */
export function listenForEnd(pids: readonly number[]): void {
  for (const { kind, pool } of seen()) {
    const has = kind.clientsOf(pool as never).some((client) => pids.includes(client?.processID ?? 0))
    if (has) (pool as { on?(event: string, listener: () => void): void }).on?.('error', () => undefined)
  }
}

const seen = (): { kind: Kind; pool: object }[] =>
  [...prototypes].flatMap((one) => one[SEEN]?.pools.map((pool) => ({ kind: (one[SEEN] as Seen).kind, pool })) ?? [])

const isTo =
  (database: string, port: number) =>
  (client: DriverClient | undefined): client is DriverClient =>
    client?.database === database && Number(client.port) === port

function purposeOf(client: DriverClient | undefined): string {
  const { user, connectionParameters } = (client ?? {}) as {
    user?: string
    connectionParameters?: { application_name?: string }
  }
  return `${user} ${connectionParameters?.application_name ?? ''}`
}

function watch(owner: object | undefined, kind: Kind): void {
  const prototype = owner as Prototype | undefined
  const original = prototype?.[kind.method]
  if (!prototype || typeof original !== 'function') return
  prototypes.add(prototype)
  if (prototype[SEEN]) return
  const own = new Seen(kind)
  Object.defineProperty(prototype, SEEN, { value: own })
  kind.onMade(prototype, (pool) => {
    if (!listenerFor(pool)) return
    own.add(pool)
    notesOf<{ made?: Error }>(pool).made = stackHere()
  })
  const onTaken = (client: object): void => {
    const listener = listenerFor(client)
    if (listener) notesOf<ClientNotes>(client).takenBy = listener.taken(client as DriverClient)
  }
  prototype[kind.method] = function (...args) {
    own.add(this)
    if (!own.listened.has(this)) kind.onTaken(this as never, onTaken)
    own.listened.add(this)
    return timeAcquire(
      args,
      (own) => original.apply(this, own),
      () => kind.clientsOf(this as never).length,
    )
  }
}

/** Frames of a stack: those of the packages that make the pool come first. */
const DEPTH = 40

function stackHere(): Error {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = DEPTH
  const error = new Error('made')
  Error.stackTraceLimit = stackTraceLimit
  return error
}
