/** One subscription: what has come on a channel, and who waits for it. */
// Node's own: tests replace the global ones by fakes that never fire.

import { clearTimeout, setTimeout } from 'node:timers'
import { messageOf, TestDbError } from '../errors.ts'
import type { Notification } from '../postgres/index.ts'
import type { ListenGap, NextOptions, ReceivedNotification, Subscription } from './listen-contract.ts'
import { assertWait } from './listen-options.ts'

/** A runner gives a test 5 s by default, and the error that says why should come first. */
const DEFAULT_MS = 3_000

/** What is known when nothing has come in time. */
export interface Missed {
  readonly subscription: BufferedSubscription
  readonly waitedMs: number
  /** True when `where` was given. */
  readonly selective: boolean
}

export interface SubscriptionOwner {
  /** The error of a wait that took too long. */
  explain(missed: Missed): Promise<TestDbError>
  remove(subscription: BufferedSubscription): Promise<void>
}

interface Waiter {
  readonly where: (notification: ReceivedNotification) => boolean
  take(notification: ReceivedNotification): void
  fail(error: unknown): void
}

export class BufferedSubscription implements Subscription {
  readonly channel: string
  readonly waiting: ReceivedNotification[] = []
  readonly gaps: ListenGap[] = []
  /** How many have come on other channels meanwhile. */
  readonly elsewhere = new Map<string, number>()
  /** True when the server has said that it listens. */
  confirmed = false
  readonly #owner: SubscriptionOwner
  readonly #waiters = new Set<Waiter>()
  #afterGap = false
  #ended: TestDbError | undefined

  constructor(channel: string, owner: SubscriptionOwner) {
    this.channel = channel
    this.#owner = owner
  }

  next(options: NextOptions = {}): Promise<ReceivedNotification> {
    assertWait(options)
    const next = this.#next(options)
    // A test that has failed elsewhere leaves it behind, and what the reset says to it is nobody's error.
    next.catch(() => undefined)
    return next
  }

  async #next(options: NextOptions): Promise<ReceivedNotification> {
    const { timeoutMs = DEFAULT_MS, where = () => true } = options
    const place = this.waiting.findIndex(where)
    const [found] = place < 0 ? [] : this.waiting.splice(place, 1)
    if (found) return found
    if (this.#ended) throw this.#ended
    const selective = options.where !== undefined
    return await new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        where,
        take: (notification) => {
          done()
          resolve(notification)
        },
        fail: (error) => {
          done()
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        done()
        this.#owner.explain({ subscription: this, waitedMs: timeoutMs, selective }).then(reject, reject)
      }, timeoutMs)
      this.#waiters.add(waiter)
    })
  }

  async close(): Promise<void> {
    this.end('it was closed')
    await this.#owner.remove(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  deliver({ channel, payload }: Notification): void {
    if (channel !== this.channel) {
      this.elsewhere.set(channel, (this.elsewhere.get(channel) ?? 0) + 1)
      return
    }
    const received = { channel, payload, afterGap: this.#afterGap, json: () => JSON.parse(payload) as unknown }
    this.#afterGap = false
    for (const waiter of this.#waiters) {
      try {
        if (!waiter.where(received)) continue
        waiter.take(received)
        return
      } catch (error) {
        // The user's own function; it is told to who has given it.
        waiter.fail(error)
      }
    }
    this.waiting.push(received)
  }

  noteGap(gap: ListenGap): void {
    this.#afterGap = true
    this.gaps.push(gap)
  }

  /** What has come and was not taken is gone, so that no later test gets it. */
  end(why: string, cause?: unknown): void {
    if (this.#ended) return
    const because = cause === undefined ? why : `${why}: ${messageOf(cause)}`
    this.#ended = new TestDbError(
      'TESTDB_SUBSCRIPTION_ENDED',
      `nobody listens to "${this.channel}" any more: ${because}`,
    )
    this.waiting.splice(0)
    for (const waiter of [...this.#waiters]) waiter.fail(this.#ended)
  }
}
