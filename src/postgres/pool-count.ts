/**
 * How many pools of this process are connected to a database. A pool is remembered, weakly, when somebody asks it for a connection;
 * no pool says where it was made, and Postgres does not know that connections belong together.
 */
import { createRequire } from 'node:module'
import { join, sep } from 'node:path'
import pg from 'pg'

interface Client {
  readonly database?: string
  readonly port?: number | string
}

/** What makes a pool, in whatever copy of the package. */
interface Kind {
  /** The file that exports the class, after the folders that packages are in. */
  readonly file: string
  /** Every use of a pool goes through it. */
  readonly method: string
  clientsOf(pool: never): readonly (Client | undefined)[]
}

const PG: Kind = {
  file: join(sep, 'pg-pool', 'index.js'),
  method: 'connect',
  clientsOf: ({ _clients = [] }: { readonly _clients?: readonly Client[] }) => _clients,
}
interface Tarn {
  readonly used: readonly { readonly resource?: Client }[]
  readonly free: readonly { readonly resource?: Client }[]
}
const KNEX: Kind = {
  file: join(sep, 'knex', 'lib', 'client.js'),
  method: 'acquireConnection',
  clientsOf: ({ pool }: { readonly pool?: Partial<Tarn> }) =>
    [...(pool?.used ?? []), ...(pool?.free ?? [])].map(({ resource }) => resource),
}

type Method = (this: object, ...args: unknown[]) => unknown
type Prototype = Record<string, Method> & { [SEEN]?: Seen }

class Seen {
  readonly kind: Kind
  readonly #known = new WeakSet<object>()
  #pools: WeakRef<object>[] = []

  constructor(kind: Kind) {
    this.kind = kind
  }

  add(pool: object): void {
    if (this.#known.has(pool)) return
    this.#known.add(pool)
    this.#pools = this.#pools.filter((one) => one.deref() !== undefined)
    this.#pools.push(new WeakRef(pool))
  }

  get pools(): object[] {
    return this.#pools.flatMap((one) => one.deref() ?? [])
  }
}

/** On the prototypes themselves: several copies of this file may meet one copy of the driver. */
const SEEN = Symbol.for('testdb.pools')
const prototypes = new Set<Prototype>()

/** Remembers from now on which pools are used: of our copy of the driver, and of those that the project has loaded so far. */
export function watchPools(): void {
  watch(ownerOf(pg.Pool.prototype, PG.method), PG)
  const { cache } = createRequire(import.meta.url)
  for (const file of Object.keys(cache)) {
    const kind = file.endsWith(PG.file) ? PG : file.endsWith(KNEX.file) ? KNEX : undefined
    const exported: unknown = kind && cache[file]?.exports
    if (kind && typeof exported === 'function') watch(exported.prototype, kind)
  }
}

/** How many of them have a connection to that database now. */
export function countPools(database: string, port: number): number {
  const here = (client: Client | undefined): boolean => client?.database === database && Number(client.port) === port
  const seen = [...prototypes].flatMap((one) => one[SEEN] ?? [])
  return seen.flatMap(({ kind, pools }) => pools.filter((pool) => kind.clientsOf(pool as never).some(here))).length
}

/** `pg.Pool` is made anew from the class that has the method. */
function ownerOf(prototype: object, method: string): object | undefined {
  let owner: object | null = prototype
  while (owner && !Object.hasOwn(owner, method)) owner = Object.getPrototypeOf(owner)
  return owner ?? undefined
}

function watch(owner: object | undefined, kind: Kind): void {
  const prototype = owner as Prototype | undefined
  const original = prototype?.[kind.method]
  if (!prototype || typeof original !== 'function') return
  prototypes.add(prototype)
  if (prototype[SEEN]) return
  const seen = new Seen(kind)
  Object.defineProperty(prototype, SEEN, { value: seen })
  prototype[kind.method] = function (...args) {
    seen.add(this)
    return original.apply(this, args)
  }
}
