/**
 * A run's session, lent to work of the same process: a server process less than a session of its own, and one that is warm.
 * One at a time, because a transaction of the one would be that of the other; whoever comes meanwhile opens a session.
 */
import type { Session } from './postgres/index.ts'
import type { BackgroundSweep } from './templates/background-sweep.ts'

export class LentSession {
  readonly #session: Session
  readonly #sweep: BackgroundSweep
  #loan: Promise<unknown> | undefined

  constructor(session: Session, sweep: BackgroundSweep) {
    this.#session = session
    this.#sweep = sweep
  }

  /** Gives `work` the session, or undefined where somebody has it or it is lost. What it locks in it is its own to unlock. */
  async lend<T>(work: (session: Session | undefined) => Promise<T>): Promise<T> {
    if (this.#loan !== undefined || this.#session.ended || !this.#sweep.putOff()) return await work(undefined)
    const loan = work(this.#session)
    this.#loan = loan.catch(() => undefined)
    try {
      return await loan
    } catch (error) {
      // The line of a session that was silent for long may be dead; one of its own is not.
      if (!this.#session.ended) throw error
      return await work(undefined)
    } finally {
      this.#loan = undefined
      this.#sweep.later()
    }
  }

  /** Resolves when nobody has it. */
  async returned(): Promise<void> {
    await this.#loan
  }
}
