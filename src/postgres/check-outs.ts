/**
 * Tells which connections of this process are taken, from pools of `pg` and Knex and outside of pools, while somebody wants to know.
 * Of every copy of the packages that is loaded when that begins; without an observer the wrapped methods only pass calls on.
 */
import { join, sep } from 'node:path'
import pg from 'pg'
import { loadedPrototypes, ownerOf } from './driver-copies.ts'
import { statementOf } from './statement-text.ts'

export interface CheckOutObserver {
  /** Somebody asks for a connection; what is returned comes with it. */
  asked(): unknown
  taken(connection: object, asked: unknown): void
  given(connection: object): void
  /** A pool has begun to make it. */
  opened(connection: object): void
  closed(connection: object): void
  /** A connection that is taken is asked for this. */
  statement(connection: object, text: string): void
}

type Method = (this: object, ...args: unknown[]) => unknown
type Prototype = Record<string, unknown> & { [OBSERVERS]?: Set<CheckOutObserver> }
interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
}

/** On the prototypes themselves: several copies of this file may meet one copy of the driver. */
const OBSERVERS = Symbol.for('testdb.checkOuts')

/** The files that export the classes, after the folders that packages are in. */
const FILES: readonly (readonly [file: string, wrap: (prototype: Prototype) => void])[] = [
  [join(sep, 'pg', 'lib', 'client.js'), wrapClient],
  [join(sep, 'pg-pool', 'index.js'), wrapPool],
  [join(sep, 'knex', 'lib', 'client.js'), wrapKnex],
  [join(sep, 'knex', 'lib', 'dialects', 'postgres', 'index.js'), wrapKnexMaking],
]

/** Returns what ends it. Who is connected or taken already is not told of. */
export function observeCheckOuts(observer: CheckOutObserver): () => void {
  const seen = new Set<Set<CheckOutObserver>>()
  const watch = (prototype: Prototype, wrap: (prototype: Prototype) => void): void => {
    if (!Object.hasOwn(prototype, OBSERVERS)) {
      Object.defineProperty(prototype, OBSERVERS, { value: new Set() })
      wrap(prototype)
    }
    const observers = prototype[OBSERVERS]
    if (observers) seen.add(observers.add(observer))
  }
  watch((ownerOf(pg.Client.prototype, 'query') ?? {}) as Prototype, wrapClient)
  watch((ownerOf(pg.Pool.prototype, 'newClient') ?? {}) as Prototype, wrapPool)
  for (const [file, wrap] of FILES) {
    for (const prototype of loadedPrototypes(file)) watch(prototype as Prototype, wrap)
  }
  return () => {
    for (const observers of seen) observers.delete(observer)
  }
}

/** `wrapped` gets the method and the observers of this moment, and is called only while there are some. */
function replace(
  prototype: Prototype,
  name: string,
  wrapped: (observers: readonly CheckOutObserver[], owner: object, method: Method, args: unknown[]) => unknown,
): void {
  const original = prototype[name] as Method | undefined
  if (typeof original !== 'function') return
  const observers = prototype[OBSERVERS] ?? new Set()
  prototype[name] = function (this: object, ...args: unknown[]) {
    return observers.size > 0 ? wrapped([...observers], this, original, args) : original.apply(this, args)
  }
}

/** What an observer has said when it was asked for a connection, to be told when there is one. */
function ask(observers: readonly CheckOutObserver[]): (connection: object) => void {
  const asked = observers.map((observer) => ({ observer, said: observer.asked() }))
  return (connection) => {
    for (const { observer, said } of asked) observer.taken(connection, said)
  }
}

const noticed = new WeakSet<object>()

function wrapPool(prototype: Prototype): void {
  replace(prototype, 'connect', (observers, pool, connect, args) => {
    if (!noticed.has(pool)) {
      noticed.add(pool)
      const all = prototype[OBSERVERS] ?? new Set()
      ;(pool as Emitter).on('release', (_error: unknown, connection: object) => {
        for (const observer of all) observer.given(connection)
      })
      // Older pools do not tell of a release, and none of a connection that breaks while it is taken.
      ;(pool as Emitter).on('remove', (connection: object) => {
        for (const observer of all) observer.closed(connection)
      })
    }
    const tell = ask(observers)
    const [callback] = args
    if (typeof callback === 'function') {
      return connect.call(pool, (error: unknown, connection: object | undefined, release: unknown) => {
        if (connection) tell(connection)
        return callback(error, connection, release)
      })
    }
    return (connect.call(pool) as Promise<object>).then((connection) => {
      tell(connection)
      return connection
    })
  })
  replace(prototype, 'newClient', inPool)
}

function wrapKnex(prototype: Prototype): void {
  replace(prototype, 'acquireConnection', (observers, knex, acquire, args) => {
    const tell = ask(observers)
    return (acquire.apply(knex, args) as Promise<object>).then((connection) => {
      tell(connection)
      return connection
    })
  })
  replace(prototype, 'releaseConnection', (observers, knex, release, args) => {
    for (const observer of observers) observer.given(args[0] as object)
    return release.apply(knex, args)
  })
}

function wrapKnexMaking(prototype: Prototype): void {
  replace(prototype, '_acquireOnlyConnection', inPool)
}

/** Connections that a pool makes count when they are taken. */
let making = 0

function inPool(_observers: unknown, pool: object, make: Method, args: unknown[]): unknown {
  making++
  try {
    return make.apply(pool, args)
  } finally {
    making--
  }
}

function wrapClient(prototype: Prototype): void {
  replace(prototype, 'connect', (observers, client, connect, args) => {
    if (making === 0) ask(observers)(client)
    else for (const observer of observers) observer.opened(client)
    ;(client as Emitter).on('end', () => {
      for (const observer of prototype[OBSERVERS] ?? []) observer.closed(client)
    })
    return connect.apply(client, args)
  })
  replace(prototype, 'query', (observers, client, query, args) => {
    const text = statementOf(args[0])
    for (const observer of observers) observer.statement(client, text)
    return query.apply(client, args)
  })
}
