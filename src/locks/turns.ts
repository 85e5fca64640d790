/**
 * Who in this process may ask for a key, or has it. A section gets a key when all who have it are sections around it.
 *
 * Between sections with a connection each it saves connections: of fifty calls for one key one asks the server, the others wait
 * here without a connection, so that a busy key can not take the pool from the others. Between sections of one connection it is
 * the lock itself: Postgres gives a session every lock that the session has already.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import type { SqlLockKey } from '../postgres/index.ts'

/** A section, as far as turns are concerned. */
interface Member {
  readonly key: SqlLockKey
  isInside(other: Member): boolean
}

interface Waiter<S> {
  readonly section: S
  readonly settle: (error?: unknown) => void
}

interface Place<S> {
  readonly holders: Set<S>
  /** First in, first out, but for those whom nobody stands in the way. */
  readonly waiting: Set<Waiter<S>>
}

/** What `enter` is rejected with; who waited knows better what to say. */
export class TooLate extends Error {
  /** A section that stood in the way. */
  readonly holder: unknown
  constructor(holder: unknown) {
    super('too late')
    this.holder = holder
  }
}

export class Turns<S extends Member> {
  readonly #places = new Map<string, Place<S>>()

  tryEnter(section: S): boolean {
    const key = section.key.arguments
    const place = this.#places.get(key) ?? { holders: new Set(), waiting: new Set() }
    for (const holder of place.holders) if (!section.isInside(holder)) return false
    place.holders.add(section)
    this.#places.set(key, place)
    return true
  }

  /** Resolves when it is the section's turn; rejects after `timeoutMs` with `TooLate`, or with what `fail` was given. */
  async enter(section: S, timeoutMs: number): Promise<void> {
    if (this.tryEnter(section)) return
    const place = this.#places.get(section.key.arguments) as Place<S>
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: unknown): void => {
        clearTimeout(timer)
        place.waiting.delete(waiter)
        if (error === undefined) resolve()
        else reject(error)
      }
      const waiter = { section, settle }
      const timer = setTimeout(() => {
        const others = [...place.holders].filter((holder) => !section.isInside(holder))
        settle(new TooLate(others[0]))
      }, timeoutMs)
      place.waiting.add(waiter)
    })
  }

  /** Gives the key to whoever may have it now. A second call does nothing. */
  leave(section: S): void {
    const key = section.key.arguments
    const place = this.#places.get(key)
    if (!place?.holders.delete(section)) return
    for (const { section: next, settle } of place.waiting) if (this.tryEnter(next)) settle()
    if (place.holders.size === 0) this.#places.delete(key)
  }

  /** Ends all waiting. */
  fail(error: unknown): void {
    for (const { waiting } of this.#places.values()) for (const { settle } of waiting) settle(error)
  }
}
