/** Connections to servers of Postgres, whichever they are, by the first bytes that each sends. */
import type { Place } from './destination.ts'
import { isDriverConnecting } from './driver-notes.ts'
import { onFirstWrite, readStartup, type Startup } from './startup-packet.ts'

/** A connection that is not testdb's own. */
export interface Greeting extends Startup {
  /** Of the server, or the folder of its socket. */
  readonly host: string
  readonly port: number
  /** The server is the one of the run. */
  readonly ours: boolean
  /** It is one of the driver `pg`, whose statements are heard. */
  readonly driver: boolean
}
export type GreetingListener<From> = (greeting: Greeting, from: From) => void

interface Greeted {
  readonly destination: Place
  readonly ours: boolean
  /** Where code is at the moment. */
  here(): unknown
  readonly greeted: GreetingListener<unknown> | undefined
}

export function tellGreeting(socket: object, { destination, ours, here, greeted }: Greeted): void {
  if (!greeted) return
  const from = here()
  const driver = isDriverConnecting()
  onFirstWrite(socket, (chunk) => {
    const startup = readStartup(chunk)
    if (startup) greeted({ ...startup, ...serverOf(destination), ours, driver }, from)
  })
}

function serverOf({ host, port, path }: Place): { host: string; port: number } {
  const [, folder, number] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(String(path ?? port)) ?? []
  return { host: folder ?? (typeof host === 'string' ? host : 'localhost'), port: Number(number ?? port) }
}
