/** A Knex instance with a pool of its own, of any copy of the package. */
import { Connections, listen } from './connections.ts'
import { type Emitter, nameIn, type PoolSource, type Request } from './source.ts'

interface Tarn extends Emitter {
  readonly max: number
  readonly used: readonly { readonly resource: object }[]
  readonly free: readonly { readonly resource: object }[]
  readonly destroyed: boolean
  numUsed(): number
  numFree(): number
  numPendingAcquires(): number
  numPendingCreates(): number
}

interface KnexClient {
  readonly pool?: Tarn
  readonly connectionSettings?: unknown
}

/** Undefined where the pool is somebody else's (`connectionPool`). */
export function knexPoolOf(instance: object): PoolSource | undefined {
  const { client } = instance as { readonly client?: KnexClient }
  return client?.pool && isTarn(client.pool) ? knexSource(client, client.pool) : undefined
}

const isTarn = (pool: Partial<Tarn>): boolean => typeof pool.numUsed === 'function' && typeof pool.on === 'function'

function knexSource(client: KnexClient, pool: Tarn): PoolSource {
  return {
    applicationName: nameIn(client.connectionSettings),
    max: pool.max,
    counts: () => {
      const making = pool.numPendingCreates()
      return {
        inUse: pool.numUsed() + making,
        idle: pool.numFree(),
        waiting: Math.max(0, pool.numPendingAcquires() - making),
      }
    },
    ended: () => pool.destroyed && pool.numUsed() === 0,
    watch(listener) {
      const requests = new Map<number, Request>()
      const end = (id: number): Request => {
        const request = requests.get(id) ?? { since: performance.now() }
        requests.delete(id)
        return request
      }
      const connections = new Connections(listener)
      for (const { resource } of [...pool.used, ...pool.free]) connections.add(resource)
      const unlisten = listen(pool, {
        acquireRequest: (id: number) => void requests.set(id, listener.requested()),
        acquireSuccess: (id: number) => {
          listener.taken()
          listener.granted(end(id))
        },
        acquireFail: (id: number, error: unknown) => listener.failed(end(id), error),
        createSuccess: (_id: number, connection: object) => connections.add(connection),
        destroyRequest: (_id: number, connection: object) => connections.delete(connection),
      })
      return () => {
        unlisten()
        connections.clear()
      }
    },
  }
}
