/** The two kinds of pools that are known from inside: where they keep their clients, and what their constructors call. */
import { join, sep } from 'node:path'
import type { DriverClient } from './driver-notes.ts'

/** What makes a pool, in whatever copy of the package. */
export interface Kind {
  readonly name: 'pg.Pool' | 'Knex'
  /** The file that exports the class, after the folders that packages are in. */
  readonly file: string
  /** Every use of a pool goes through it. */
  readonly method: string
  clientsOf(pool: never): readonly (DriverClient | undefined)[]
  /** Those that somebody has, and is connected with. */
  takenOf(pool: never): readonly (DriverClient | undefined)[]
  isClosed(pool: never): boolean
  /** Calls `made` with each pool while it is made. */
  onMade(prototype: object, made: (pool: object) => void): void
  /** Calls `taken` with each client that this pool hands out. */
  onTaken(pool: never, taken: (client: object) => void): void
  /** Gives a client back that its holder has forgotten. */
  giveBack(pool: never, client: DriverClient): void
}

interface PgPool {
  readonly _clients?: readonly DriverClient[]
  readonly _idle?: readonly { readonly client: DriverClient }[]
  readonly ending?: boolean
  on(event: string, listener: (client: object) => void): void
}

export const PG: Kind = {
  name: 'pg.Pool',
  file: join(sep, 'pg-pool', 'index.js'),
  method: 'connect',
  clientsOf: ({ _clients = [] }: PgPool) => _clients,
  takenOf: ({ _clients = [], _idle = [] }: PgPool) =>
    _clients.filter((client) => client.processID != null && !_idle.some((idle) => idle.client === client)),
  isClosed: ({ ending }: PgPool) => ending === true,
  // A constructor calls nothing that could be wrapped, but it assigns to this property.
  onMade(prototype, made) {
    Object.defineProperty(prototype, '_clients', {
      configurable: true,
      get: () => undefined,
      set(this: object, value: unknown) {
        Object.defineProperty(this, '_clients', { value, writable: true, enumerable: true, configurable: true })
        made(this)
      },
    })
  },
  onTaken: (pool: PgPool, taken) => pool.on('acquire', taken),
  giveBack(_: PgPool, client) {
    client.release?.(true)
    // Who has forgotten it may remember later; a second time would be an error of whatever runs then.
    client.release = () => undefined
  },
}

interface Tarn {
  readonly used: readonly { readonly resource?: DriverClient }[]
  readonly free: readonly { readonly resource?: DriverClient }[]
  on?(event: string, listener: (id: number, client: object) => void): void
}
interface KnexClient {
  readonly pool?: Partial<Tarn>
  releaseConnection?(client: DriverClient): unknown
}

const resources = (list: Tarn['used'] = []): (DriverClient | undefined)[] => list.map(({ resource }) => resource)

export const KNEX: Kind = {
  name: 'Knex',
  file: join(sep, 'knex', 'lib', 'client.js'),
  method: 'acquireConnection',
  clientsOf: ({ pool }: KnexClient) => [...resources(pool?.used), ...resources(pool?.free)],
  takenOf: ({ pool }: KnexClient) => resources(pool?.used),
  isClosed: ({ pool }: KnexClient) => pool === undefined,
  onMade(prototype, made) {
    const client = prototype as { initializePool?: (...args: unknown[]) => unknown }
    const original = client.initializePool
    if (!original) return
    client.initializePool = function (...args) {
      made(this)
      return original.apply(this, args)
    }
  },
  onTaken: ({ pool }: KnexClient, taken) => pool?.on?.('acquireSuccess', (_, client) => taken(client)),
  giveBack: (pool: KnexClient, client) => void pool.releaseConnection?.(client),
}
