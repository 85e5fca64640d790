/** Reads what a server says to a new connection until it is let in or refused, in however many pieces it arrives. */
import { Buffer } from 'node:buffer'

/** What the server gives as its reason to let a connection not in. */
export interface Refusal {
  readonly sqlstate: string
  /** In the language of the server. */
  readonly message: string
  /** The server's function that refused; unlike the message it is in no language. */
  readonly routine: string | undefined
}

/** A start-up takes about 1 kB; what is longer (a large token of Kerberos) is not looked at further (bytes). */
const LONGEST = 16_384

const byte = (letter: string): number => letter.charCodeAt(0)
const [ERROR, READY, NO, YES_TLS, YES_GSS] = ['E', 'Z', 'N', 'S', 'G'].map(byte)

/** `more`: neither yet. `over`: let in, encrypted, or nothing that is understood. */
export type Said = Refusal | 'more' | 'over'

export class StartupReader {
  #pending: Buffer = Buffer.alloc(0)
  #begun = false

  read(chunk: Buffer): Said {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    if (!this.#begun) {
      if (rest[0] === YES_TLS || rest[0] === YES_GSS) return 'over'
      // "No" to a request for encryption is one byte alone; a notice begins with the same one, but a length follows, whose first byte is 0.
      if (rest[0] === NO) {
        if (rest.length === 1) return this.#wait(rest)
        if (rest[1] !== 0) rest = rest.subarray(1)
      }
    }
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1)
      if (end < 5 || end > LONGEST || rest[0] === READY) return 'over'
      if (rest.length < end) break
      this.#begun = true
      if (rest[0] === ERROR) return refusalOf(rest.subarray(5, end))
      rest = rest.subarray(end)
    }
    return this.#wait(rest)
  }

  #wait(rest: Buffer): Said {
    // A copy: who reads the chunk may write to it.
    this.#pending = Buffer.from(rest)
    return rest.length > LONGEST ? 'over' : 'more'
  }
}

/** The fields of an ErrorResponse: a letter and a text that ends with 0, and another 0 at the end. */
function refusalOf(body: Buffer): Refusal {
  const fields = new Map<string, string>()
  for (const field of body.toString('utf8').split('\0')) fields.set(field.charAt(0), field.slice(1))
  return { sqlstate: fields.get('C') ?? '', message: fields.get('M') ?? '', routine: fields.get('R') }
}
