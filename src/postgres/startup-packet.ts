/** Reads with what a client begins: which database, as whom. Only the first bytes of a connection are ever looked at. */
import { Buffer } from 'node:buffer'

export interface Startup {
  /** Undefined where encryption is asked for first: what follows can not be read. */
  readonly database: string | undefined
  readonly user: string | undefined
}

/** Codes in the place of a protocol version: requests for encryption by TLS and by GSS. */
const ENCRYPTION = [80_877_103, 80_877_104]
const PROTOCOL = 3
/** The server refuses longer ones (bytes). */
const LONGEST = 10_000

/** Undefined when these are not the first bytes of a client of Postgres. */
export function readStartup(chunk: unknown): Startup | undefined {
  if (!(chunk instanceof Uint8Array) || chunk.length < 8) return undefined
  const packet = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  const length = packet.readUInt32BE(0)
  const code = packet.readUInt32BE(4)
  if (length === 8 && ENCRYPTION.includes(code)) return { database: undefined, user: undefined }
  if (code >>> 16 !== PROTOCOL || length > LONGEST || length > packet.length) return undefined
  const fields = packet.toString('utf8', 8, length).split('\0')
  const valueFor = (name: string): string | undefined => {
    for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at] === name) return fields[at + 1]
    return undefined
  }
  const user = valueFor('user')
  return { user, database: valueFor('database') ?? user }
}

interface Socket {
  write: (...args: unknown[]) => unknown
}

/** Calls `look` with the first that is written to the socket, which is not changed. */
export function onFirstWrite(socket: object, look: (chunk: unknown) => void): void {
  const target = socket as Socket
  const before = Object.getOwnPropertyDescriptor(target, 'write')
  const { write } = target
  const first = function (this: unknown, ...args: unknown[]): unknown {
    // Who has wrapped it after us keeps what is there now.
    if (target.write === first) {
      if (before) Object.defineProperty(target, 'write', before)
      else delete (target as Partial<Socket>).write
    }
    if (!looked) look(args[0])
    looked = true
    return write.apply(this, args)
  }
  let looked = false
  target.write = first
}
