/** Counts what connections of ours are asked, so that it can be waited for: what nobody awaited would land in the next test. */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import type { ClientClass } from './rollback/transaction.ts'

/** How long it is waited for (ms). What goes on is then left to the reset, which waits for locks as long. */
const PATIENCE_MS = 900
/** What follows an answer (a chain of queries) is sent before the next look (ms). */
const LOOK_MS = 1

/** The driver's connections, where they are not the facades of a transaction. */
export const driverClient = pg.Client as unknown as ClientClass

type Method = (...args: unknown[]) => unknown
interface Asked {
  connect(...args: unknown[]): unknown
  query(...args: unknown[]): unknown
}

export class OwnWork {
  #running = 0
  #waiting: (() => number)[] = []

  /** The same class, whose connections are counted while they are made and while a query runs. */
  counted(Client: ClientClass): ClientClass {
    const run = (call: Method, args: unknown[]): unknown => this.#count(call, args)
    return class extends (Client as unknown as new () => Asked) {
      override connect(...args: unknown[]): unknown {
        return run((...own) => super.connect(...own), args)
      }

      override query(...args: unknown[]): unknown {
        return run((...own) => super.query(...own), args)
      }
    } as unknown as ClientClass
  }

  /** `waiting`: how many wait for a connection of a pool. */
  watch(waiting: () => number): void {
    this.#waiting.push(waiting)
  }

  /** The pools are closed. */
  forget(): void {
    this.#waiting = []
  }

  get #busy(): boolean {
    return this.#running > 0 || this.#waiting.some((waiting) => waiting() > 0)
  }

  /** Waits until nothing is pending, for a moment at most. */
  async ended(): Promise<void> {
    if (!this.#busy) return
    // Not the clock, which a test may have stopped.
    let late = false
    const patience = new AbortController()
    setTimeout(PATIENCE_MS, undefined, { signal: patience.signal }).then(
      () => {
        late = true
      },
      () => undefined,
    )
    while (this.#busy && !late) await setTimeout(LOOK_MS)
    patience.abort()
  }

  #count(call: Method, args: unknown[]): unknown {
    // A cursor or a stream is read when its reader likes.
    if (typeof (args[0] as { submit?: unknown } | null | undefined)?.submit === 'function') return call(...args)
    let counted = true
    this.#running++
    const done = (): void => {
      if (counted) this.#running--
      counted = false
    }
    const place = args.findLastIndex((arg) => typeof arg === 'function')
    const callback = args[place] as Method | undefined
    const own = callback
      ? args.with(place, (...answer: unknown[]) => {
          done()
          return callback(...answer)
        })
      : args
    try {
      const result = call(...own)
      // What comes of it is what is returned: an error that nobody handles must stay one.
      if (result instanceof Promise) return result.finally(done)
      if (!callback) done()
      return result
    } catch (error) {
      done()
      throw error
    }
  }
}
