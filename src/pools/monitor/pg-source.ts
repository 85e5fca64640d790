/** A `pg.Pool`, of any copy of the package. */
import { Connections, listen } from './connections.ts'
import { type Emitter, nameIn, type PoolListener, type PoolSource } from './source.ts'

type Connected = (error: unknown, client?: unknown, release?: unknown) => unknown

interface PgPool extends Emitter {
  connect(callback?: Connected): unknown
  readonly options: { readonly max?: number }
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly ended: boolean
  readonly _clients?: readonly object[]
}

export function isPgPool(pool: object): pool is PgPool {
  const { connect, on, totalCount, waitingCount } = pool as Partial<PgPool>
  return (
    [typeof connect, typeof on, typeof totalCount, typeof waitingCount].join() === 'function,function,number,number'
  )
}

export function pgSource(pool: PgPool): PoolSource {
  return {
    applicationName: nameIn(pool.options),
    max: pool.options.max ?? 10,
    counts: () => ({
      inUse: pool.totalCount - pool.idleCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
    }),
    ended: () => pool.ended,
    watch(listener) {
      const unwrap = wrapConnect(pool, listener)
      const connections = new Connections(listener)
      for (const client of pool._clients ?? []) connections.add(client)
      const unlisten = listen(pool, {
        acquire: () => listener.taken(),
        connect: (client: object) => connections.add(client),
        remove: (client: object) => connections.delete(client),
        // Without a listener the end of an idle connection would end the process.
        error: (error: Error, client: object) => connections.lost(client, error),
      })
      return () => {
        unwrap()
        unlisten()
        connections.clear()
      }
    },
  }
}

/** `query` of a pool connects by `connect`, too. */
function wrapConnect(pool: PgPool, listener: PoolListener): () => void {
  const own = Object.getOwnPropertyDescriptor(pool, 'connect')
  const before = pool.connect
  // Looked up for each call where it is the prototype's: who observes all pools wraps that one, maybe later.
  const original: PgPool['connect'] = function (this: PgPool, callback) {
    const connect: PgPool['connect'] = own ? before : Object.getPrototypeOf(pool).connect
    return connect.call(this, callback)
  }
  let watching = true
  const wrapper: PgPool['connect'] = function (this: PgPool, callback) {
    if (!watching) return original.call(this, callback)
    const request = listener.requested()
    if (typeof callback === 'function') {
      return original.call(this, (error, client, release) => {
        if (error) listener.failed(request, error)
        else listener.granted(request)
        return callback(error, client, release)
      })
    }
    return (original.call(this) as Promise<unknown>).then(
      (client) => {
        listener.granted(request)
        return client
      },
      (error) => {
        listener.failed(request, error)
        throw error
      },
    )
  }
  pool.connect = wrapper
  return () => {
    watching = false
    // Who has wrapped it after us keeps what is there now; it only passes calls on.
    if (pool.connect !== wrapper) return
    if (own) Object.defineProperty(pool, 'connect', own)
    else delete (pool as Partial<PgPool>).connect
  }
}
