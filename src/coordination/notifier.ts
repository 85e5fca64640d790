/**
 * Waiting for a change in the registry. NOTIFY is a hint, the registry is the truth: LISTEN first, then read the state,
 * then wait; on waking read again. The slow re-check covers what sends no notification, the death of a leader above all.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import type { Session } from '../postgres/index.ts'
import { ident } from '../postgres/index.ts'

export class Waker {
  readonly #session: Session
  readonly #stop: () => void
  #woken = false
  #wake: (() => void) | undefined

  private constructor(session: Session, channel: string) {
    this.#session = session
    this.#stop = session.onNotification((notification) => {
      if (notification.channel !== channel) return
      this.#woken = true
      this.#wake?.()
    })
  }

  /** Starts to listen; everything that is committed after this resolves wakes the next `wait`. */
  static async listen(session: Session, channel: string): Promise<Waker> {
    const waker = new Waker(session, channel)
    await session.query(`listen ${ident(channel)}`)
    return waker
  }

  /** Resolves at the next notification, or one that came since the last wait, or after `recheckMs`; throws when the session is lost. */
  async wait(recheckMs: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          this.#session.lost.removeEventListener('abort', done)
          this.#wake = undefined
          resolve()
        }
        const timer = setTimeout(done, recheckMs)
        if (this.#session.inBackground) timer.unref()
        this.#session.lost.addEventListener('abort', done)
        this.#wake = done
      })
    }
    this.#woken = false
    this.#session.lost.throwIfAborted()
  }

  /** Ends the present or next wait. */
  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  async close(): Promise<void> {
    this.#stop()
    if (!this.#session.lost.aborted) await this.#session.query('unlisten *').catch(() => undefined)
  }
}
