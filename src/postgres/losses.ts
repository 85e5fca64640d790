/**
 * Connections that a pool has lost while nobody used them. Nobody gets an error of it, the pool just makes others when they are
 * needed; when it has, it is told once.
 */
import { messageOf } from '../errors.ts'
import { publish } from '../events.ts'

export class Losses {
  readonly #whose: string
  #first: { readonly at: number; readonly cause: string } | undefined
  #count = 0

  constructor(whose: string) {
    this.#whose = whose
  }

  note(cause: unknown): void {
    this.#first ??= { at: performance.now(), cause: messageOf(cause) }
    this.#count += 1
  }

  /** There is a new connection. */
  recovered(): void {
    const first = this.#first
    if (!first) return
    const what = `${this.#count === 1 ? 'an idle connection' : `${this.#count} idle connections`} of ${this.#whose}`
    this.forget()
    publish('connection.recovered', { what, cause: first.cause, downMs: performance.now() - first.at })
  }

  forget(): void {
    this.#first = undefined
    this.#count = 0
  }
}

const known = new WeakMap<object, Losses>()

/** Keeps the losses of a pool or Knex instance. `whose`: for people. */
export function keepLosses(pool: object, whose: string): Losses {
  const losses = new Losses(whose)
  known.set(pool, losses)
  return losses
}

/** It was testdb itself that ended them. */
export function forgetLosses(pool: object | undefined): void {
  if (pool) known.get(pool)?.forget()
}
