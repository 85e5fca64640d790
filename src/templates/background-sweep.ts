/** A run's sweep: in the background while tests are at work, and at the end of the run at the latest. */
import { clearTimeout, setTimeout } from 'node:timers'
import { messageOf } from '../errors.ts'
import { publish } from '../events.ts'
import type { Session } from '../postgres/index.ts'
import { RETENTION, sweep } from './sweep.ts'

/** Not while workers wait for their first databases: who has work to do goes first (ms). */
const AFTER_MS = 2_000

export class BackgroundSweep {
  readonly #session: Session
  readonly #project: string
  #timer: NodeJS.Timeout | undefined
  #work: Promise<unknown> | undefined
  #isDone = false

  constructor(session: Session, project: string) {
    this.#session = session
    this.#project = project
  }

  /** Tests need not wait for it, and its failure is nobody's failure: the next run sweeps again. */
  later(): void {
    if (this.#work !== undefined) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#once(), AFTER_MS).unref()
  }

  /** Begins none before `later()` is called again; false when it is too late, because one is at work. */
  putOff(): boolean {
    if (this.#work !== undefined) return this.#isDone
    clearTimeout(this.#timer)
    return true
  }

  /** Waits for a sweep that is at work; begins none. */
  async pause(): Promise<void> {
    await this.#work
  }

  /** Sweeps if that was not done yet, and waits for it. */
  async finish(): Promise<void> {
    await this.#once()
  }

  #once(): Promise<unknown> {
    clearTimeout(this.#timer)
    this.#work ??= sweep(this.#session, { retention: RETENTION, project: this.#project })
      .catch((error: unknown) => {
        if (this.#session.lost.aborted) return
        publish('warning.raised', { message: `clean-up was not finished: ${messageOf(error)}` })
      })
      .finally(() => {
        this.#isDone = true
      })
    return this.#work
  }
}
