/** The connections of a pool that is watched. */
import type { Emitter, PoolListener } from './source.ts'

export function listen(emitter: Emitter, listeners: Readonly<Record<string, (...args: never[]) => void>>): () => void {
  for (const [event, listener] of Object.entries(listeners)) emitter.on(event, listener)
  return () => {
    for (const [event, listener] of Object.entries(listeners)) emitter.removeListener(event, listener)
  }
}

/** The connections of a pool. Each is listened to: the pool does that only while it is idle, and one in use would end the process. */
export class Connections {
  readonly #listener: PoolListener
  readonly #listening = new Map<object, () => void>()
  readonly #lost = new WeakSet<object>()

  constructor(listener: PoolListener) {
    this.#listener = listener
  }

  add(connection: object): void {
    if (this.#listening.has(connection)) return
    const { on } = connection as Partial<Emitter>
    const unlisten =
      typeof on === 'function'
        ? listen(connection as Emitter, { error: (error: Error) => this.lost(connection, error) })
        : () => undefined
    this.#listening.set(connection, unlisten)
    this.#listener.opened(connection)
  }

  delete(connection: object): void {
    // It goes on listening: the end of a connection may come with an error after it has left the pool.
    if (this.#listening.delete(connection)) this.#listener.closed(connection)
  }

  /** One end is told by several events. */
  lost(connection: object, error: Error): void {
    if (this.#lost.has(connection)) return
    this.#lost.add(connection)
    this.#listener.lost(error)
  }

  clear(): void {
    for (const [connection, unlisten] of this.#listening) {
      unlisten()
      this.#listener.closed(connection)
    }
    this.#listening.clear()
  }
}
