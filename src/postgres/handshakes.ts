/**
 * Lets few connections of this process begin at the same time. A connection takes a slot of the server until it is let in or refused,
 * whatever the limit of its database; hundreds at once would take all of them, and with them the ones of the neighbours.
 *
 * A connection whose turn has not come looks up its host: that is a state that Node and every driver know, so what is written, ended
 * or destroyed meanwhile behaves as always.
 */
import dns from 'node:dns'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'

/** What is looked at of a socket. */
export interface Connecting {
  readonly destroyed: boolean
  readonly bytesWritten: number
}

type Lookup = (host: string, options: { readonly all?: boolean }, found: (...answer: unknown[]) => void) => void

/** Where a socket goes, in the form in which `connect` takes everything. */
export interface Destination {
  readonly host?: unknown
  readonly lookup?: unknown
}

/** Two keep both processors of a small machine busy, one more hides the way between. */
const AT_ONCE = 3
/** After this somebody else may begin all the same (ms): a server that is that slow is not to be made slower. */
const LONGEST_MS = 1_000

export class Handshakes {
  #running = 0
  readonly #waiting: (() => void)[] = []

  /** The turn of a connection that is about to begin. */
  turn(socket: Connecting): Turn {
    const turn = new Turn(socket, () => this.#next())
    if (this.#running >= AT_ONCE) this.#waiting.push(() => turn.start())
    else {
      this.#running++
      turn.start()
    }
    return turn
  }

  /** Hands the place on, or gives it back. */
  #next(): void {
    const start = this.#waiting.shift()
    if (start) start()
    else this.#running--
  }
}

export class Turn {
  readonly #socket: Connecting
  readonly #leave: () => void
  #state: 'waiting' | 'running' | 'over' = 'waiting'
  #timer: NodeJS.Timeout | undefined
  #lookUp: (() => void) | undefined

  constructor(socket: Connecting, leave: () => void) {
    this.#socket = socket
    this.#leave = leave
  }

  /** The destination as it is to be connected to now. */
  of<D extends Destination>(destination: D): D {
    if (this.#state !== 'waiting') return destination
    const host = typeof destination.host === 'string' && destination.host !== '' ? destination.host : 'localhost'
    const lookup = (destination.lookup ?? dns.lookup) as Lookup
    const later: Lookup = (_name, options, found) => {
      this.#lookUp = () => lookup(host, options, found)
      if (this.#state !== 'waiting') this.#lookUp()
    }
    // An address would not be looked up.
    return { ...destination, host: 'its-turn-comes.invalid', lookup: later }
  }

  start(): void {
    // Its owner may have given up meanwhile.
    if (this.#state === 'over' || this.#socket.destroyed) {
      this.#state = 'over'
      this.#leave()
      return
    }
    this.#state = 'running'
    this.#timer = setTimeout(() => this.over(), LONGEST_MS)
    this.#timer.unref()
    this.#lookUp?.()
  }

  /** It is connected: who has nothing to say holds nobody up. */
  connected(): void {
    setImmediate(() => {
      if (this.#socket.bytesWritten === 0) this.over()
    })
  }

  /** The server has let it in or refused it, or it is gone. */
  over(): void {
    const was = this.#state
    this.#state = 'over'
    clearTimeout(this.#timer)
    if (was === 'running') this.#leave()
  }
}
