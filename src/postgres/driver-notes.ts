/** What is remembered of the driver's clients and pools, on them, and who wants to hear of it. */
import { isOwn } from './own.ts'

/** What those who watch the driver have in common: its client, in whatever copy of the package. */
export interface DriverClient {
  readonly database?: string
  readonly port?: number | string
  readonly processID?: number | null
  readonly connection?: { readonly stream?: { destroy(): void } }
  on(event: string, listener: () => void): unknown
  release?: (destroy?: boolean) => void
}

/** Of a client. */
export interface ClientNotes {
  /** The last statement that it was asked. */
  statement?: string
  /** Where code was when it was taken from its pool. */
  takenBy?: unknown
}

/** Where it was made. */
export interface PoolNotes {
  readonly made: Error
}

export interface DriverListener {
  /** A client is asked a statement. */
  sent(client: DriverClient, statement: string): void
  /** A statement that makes something outside of the database has succeeded. */
  made(client: DriverClient, statement: string): void
  /** A client was taken from a pool; what is returned is kept as `takenBy`. */
  taken(client: DriverClient): unknown
}

/** One for the process, and in a sandbox of Jest one for that: several copies of this file may meet one copy of the driver. */
const LISTENER = Symbol.for('testdb.driver')
const NOTES = Symbol.for('testdb.notes')
const CLIENTS = Symbol.for('testdb.clients')
const CONNECTING = Symbol.for('testdb.connecting')
const store = globalThis as {
  [LISTENER]?: DriverListener | undefined
  [CLIENTS]?: Set<WeakRef<DriverClient>>
  [CONNECTING]?: number
}

/** From now on it hears what clients of the driver do; undefined ends that. */
export function listenToDriver(listener: DriverListener | undefined): void {
  store[LISTENER] = listener
}

/** Undefined where nobody listens, or where testdb itself asks. */
export const listenerFor = (client: object): DriverListener | undefined => (isOwn(client) ? undefined : store[LISTENER])

export function notesOf<N extends object>(thing: object): N {
  const noted = thing as { [NOTES]?: N }
  if (!noted[NOTES]) Object.defineProperty(thing, NOTES, { value: {} })
  return noted[NOTES] as N
}

/** Runs what begins a connection of the driver, before it returns. */
export function connecting<T>(connect: () => T): T {
  store[CONNECTING] = (store[CONNECTING] ?? 0) + 1
  try {
    return connect()
  } finally {
    store[CONNECTING]--
  }
}

/** Whether the connection that is begun just now is one whose statements are heard. */
export const isDriverConnecting = (): boolean => (store[CONNECTING] ?? 0) > 0

/** Remembered weakly, from their first statement on. */
export function rememberClient(client: DriverClient): void {
  store[CLIENTS] ??= new Set()
  for (const one of store[CLIENTS]) if (one.deref() === undefined) store[CLIENTS].delete(one)
  store[CLIENTS].add(new WeakRef(client))
}

export const knownClients = (): DriverClient[] => [...(store[CLIENTS] ?? [])].flatMap((one) => one.deref() ?? [])
