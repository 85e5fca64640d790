/**
 * The one listening session of a database's handle, however many wait on however many channels.
 *
 *   listen ─► connect (once) ─► LISTEN ─► deliver … ─► reset: all subscriptions end, UNLISTEN, the session stays
 *      session lost, with subscriptions ─► connect and LISTEN again, with pauses ─► tell them of the gap, connection.recovered
 *      session lost, without            ─► nothing; the next `listen` makes another one
 *
 * If the process dies the server forgets all of it with the session.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers/promises'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import {
  type Activity,
  type ConnectionTarget,
  ident,
  isConnectionLoss,
  type Notification,
  Session,
  sessionsOf,
} from '../postgres/index.ts'
import type { WaitOptions } from './listen-contract.ts'
import { assertChannel, assertWait } from './listen-options.ts'
import { type Loss, notificationTimeout } from './listen-timeout.ts'
import { BufferedSubscription, type Missed, type SubscriptionOwner } from './subscription.ts'

/** First and longest pause between two tries to connect again (ms): a server that restarts is back in about a second. */
const PAUSE = { first: 20, longest: 500 } as const
/** How long a new subscription waits for a server that has just gone (ms). */
const PATIENCE_MS = 2_000

const APPLICATION = 'testdb listen:'

export interface ListenerOptions {
  readonly target: ConnectionTarget
  readonly project: string
  /** True where what goes through `db.pool` and `db.knex()` is never committed. */
  readonly rollsBack: boolean
}

export class Listener implements SubscriptionOwner {
  readonly #options: ListenerOptions
  readonly #subscriptions = new Set<BufferedSubscription>()
  #session: Session | undefined
  #connecting: Promise<Session> | undefined
  /** Set while a lost session is being replaced. */
  #loss: Loss | undefined
  #closed = false

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  /** Resolves when the server has confirmed it. Throws `TESTDB_CONFIG_INVALID`, `TESTDB_SERVER_LOST`. */
  async listen(channel: string): Promise<BufferedSubscription> {
    assertChannel(channel)
    const subscription = new BufferedSubscription(channel, this)
    // First: what comes with the confirmation counts.
    this.#subscriptions.add(subscription)
    try {
      await this.#confirm(channelsOf(channel))
      subscription.confirmed = true
      return subscription
    } catch (error) {
      this.#subscriptions.delete(subscription)
      throw error
    }
  }

  async waitFor(channel: string, waiting: WaitOptions): Promise<Awaited<ReturnType<BufferedSubscription['next']>>> {
    assertWait(waiting)
    const { act, ...options } = waiting
    // Not `await using`: in the contexts of Vitest's vm pools Node 20 has no symbol for it.
    const subscription = await this.listen(channel)
    try {
      await act?.()
      return await subscription.next(options)
    } finally {
      await subscription[Symbol.asyncDispose]()
    }
  }

  /** A test has ended: nothing of it may reach the next one. */
  async clear(why = 'the database was put back'): Promise<void> {
    if (this.#subscriptions.size === 0) return
    for (const one of this.#subscriptions) one.end(why)
    this.#subscriptions.clear()
    await this.#session?.query('unlisten *').catch(() => undefined)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.clear('the database was given back')
    await this.#connecting?.catch(() => undefined)
    await this.#session?.close()
  }

  async remove(subscription: BufferedSubscription): Promise<void> {
    if (!this.#subscriptions.delete(subscription)) return
    const wanted = this.#channels()
    const idle = channelsOf(subscription.channel).filter((channel) => !wanted.includes(channel))
    if (idle.length > 0 && this.#session && !this.#session.ended)
      await this.#session.batch(idle.map((channel) => `unlisten ${ident(channel)}`).join('; ')).catch(() => undefined)
  }

  async explain(missed: Missed): Promise<TestDbError> {
    const { target, rollsBack } = this.#options
    const session = this.#session
    const open = session && !session.ended ? await openTransactions(session).catch(() => []) : []
    return notificationTimeout({ ...missed, database: target.database, rollsBack, open, loss: this.#loss })
  }

  #channels(): string[] {
    return [...new Set([...this.#subscriptions].flatMap(({ channel }) => channelsOf(channel)))]
  }

  async #confirm(channels: readonly string[]): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        const session = await this.#connected()
        await session.batch(channels.map((channel) => `listen ${ident(channel)}`).join('; '))
        return
      } catch (cause) {
        if (!isConnectionLoss(cause)) throw cause
        if (this.#closed || performance.now() > deadline) {
          const what = `no session that listens on ${this.#options.target.database}: ${messageOf(cause)}`
          throw new TestDbError('TESTDB_SERVER_LOST', what, { cause })
        }
      }
      await setTimeout(PAUSE.first)
    }
  }

  async #connected(): Promise<Session> {
    if (this.#session && !this.#session.ended) return this.#session
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    return await this.#connecting
  }

  async #open(): Promise<Session> {
    const { target, project } = this.#options
    const session = await Session.open(target, { applicationName: `${APPLICATION}${project}`, neutral: true })
    if (this.#closed) await session.close()
    // Who waits has a timer that keeps the process alive.
    session.unref()
    session.onNotification((notification) => this.#deliver(notification))
    session.lost.addEventListener('abort', () => this.#onLost(session))
    this.#session = session
    return session
  }

  #deliver(notification: Notification): void {
    for (const one of this.#subscriptions) one.deliver(notification)
  }

  #onLost(session: Session): void {
    // Who has no confirmation yet has missed nothing, and asks again itself.
    const affected = [...this.#subscriptions].filter(({ confirmed }) => confirmed)
    if (this.#session !== session || this.#loss || affected.length === 0) return
    this.#loss = { since: performance.now(), cause: causeOf(session) }
    void this.#recover(this.#loss, affected)
  }

  async #recover(loss: Loss, affected: readonly BufferedSubscription[]): Promise<void> {
    for (let pause: number = PAUSE.first; this.#subscriptions.size > 0; pause = Math.min(2 * pause, PAUSE.longest)) {
      try {
        const session = await this.#connected()
        await session.batch(
          this.#channels()
            .map((channel) => `listen ${ident(channel)}`)
            .join('; '),
        )
        if (!session.lost.aborted) {
          this.#tellRecovered(loss, affected)
          break
        }
      } catch (error) {
        loss.problem = messageOf(error)
      }
      await setTimeout(pause, undefined, { ref: false })
    }
    this.#loss = undefined
  }

  #tellRecovered({ since, cause }: Loss, affected: readonly BufferedSubscription[]): void {
    const gap = { downMs: performance.now() - since, cause }
    for (const one of affected) one.noteGap(gap)
    publish('connection.recovered', { what: `the session that listens on ${this.#options.target.database}`, ...gap })
  }
}

/** Who is connected to a database beside testdb itself. */
export async function othersOn(session: Session, database: string): Promise<Activity[]> {
  const all = await sessionsOf(session, database)
  return all.filter(({ applicationName }) => !applicationName.startsWith(APPLICATION))
}

/** With the one that NOTIFY without quotes makes of it, so that a wait which is in vain can say so. */
const channelsOf = (channel: string): string[] => [...new Set([channel, channel.toLowerCase()])]

async function openTransactions(session: Session): Promise<Activity[]> {
  const all = await sessionsOf(session, session.target.database)
  return all.filter(({ state }) => state?.startsWith('idle in transaction'))
}

/** What the server has said, if it has said something. */
function causeOf({ lost }: Session): string {
  const { cause } = lost.reason as { readonly cause?: unknown }
  return messageOf(cause ?? lost.reason)
}
