/**
 * Lets few connections of this process begin at the same time. A connection takes a slot of the server until it is let in or refused,
 * whatever the limit of its database; hundreds at once would take all of them, and with them the ones of the neighbours.
 */
import { clearTimeout, setTimeout } from 'node:timers'

/** A socket before it is connected. */
export interface Connecting {
  connecting: boolean
  readonly destroyed: boolean
}

/** Two keep both processors of a small machine busy, one more hides the way between. */
const AT_ONCE = 3
/** After this somebody else may begin all the same (ms): a server that is that slow is not to be made slower. */
const LONGEST_MS = 1_000

export class Handshakes {
  #running = 0
  readonly #waiting: (() => void)[] = []

  /** Calls `connect` now, or when it is its turn; returns what is to be called when the server has let it in or refused it. */
  begin(socket: Connecting, connect: () => unknown): () => void {
    let timer: NodeJS.Timeout | undefined
    let state: 'waiting' | 'running' | 'over' = 'waiting'
    const over = (): void => {
      const was = state
      state = 'over'
      clearTimeout(timer)
      if (was === 'running') this.#next()
    }
    const start = (): void => {
      // Its owner may have given up meanwhile.
      if (state === 'over' || socket.destroyed) {
        state = 'over'
        return this.#next()
      }
      state = 'running'
      timer = setTimeout(over, LONGEST_MS)
      timer.unref()
      connect()
    }
    if (this.#running < AT_ONCE) {
      this.#running++
      start()
    } else {
      // What is written before it is connected has to wait, as it does behind a call of `connect`.
      socket.connecting = true
      this.#waiting.push(start)
    }
    return over
  }

  /** Hands the place on, or gives it back. */
  #next(): void {
    const start = this.#waiting.shift()
    if (start) start()
    else this.#running--
  }
}
