/**
 * Notices in this process that the server refused a connection because there are too many, whichever driver asked.
 *
 * What all drivers have in common is `net.Socket`, so its `connect` is wrapped (`net.client.socket` of diagnostics_channel says nothing of
 * `new Socket().connect()` in Node 20). Only what the server sends is looked at, and only until it has let the connection in. An
 * encrypted connection can not be looked into, and a driver with an engine of its own does not use these sockets: of both nothing is noticed.
 *
 * The same place tells which connections to Postgres there are at all, by the first bytes that each sends.
 */
import { Buffer } from 'node:buffer'
import net from 'node:net'
import { clearTimeout, setTimeout } from 'node:timers'
import { type Address, destinationOf, leadsTo } from './destination.ts'
import { type GreetingListener, tellGreeting } from './greeting.ts'
import { type Connecting, Handshakes, type Turn } from './handshakes.ts'
import { isOwn } from './own.ts'
import { SQLSTATE } from './sqlstate.ts'
import { type Refusal, StartupReader } from './startup-reader.ts'

export type { Greeting } from './greeting.ts'
export type { Refusal }
/**
 * What it returns is waited for, for a moment, before the owner of the connection is told: most close all their connections then, and
 * nobody could see any more who had them.
 */
export type RefusalListener<From> = (refusal: Refusal, from: From) => Promise<unknown> | undefined
type Method = (this: unknown, ...args: unknown[]) => unknown

/** How long an owner waits at most (ms): an answer from a busy server takes tens. */
const PATIENCE_MS = 1_000
/** What tells it. */
const NEWS: readonly unknown[] = ['data', 'end', 'error', 'close']

interface Socket extends Connecting {
  emit: Method
  readonly encrypted?: boolean
}

interface Subscriber {
  readonly address: Address
  readonly listener: RefusalListener<unknown>
  /** Where code is at the moment. */
  here(): unknown
  readonly greeted: GreetingListener<unknown> | undefined
}

interface Watch {
  readonly handshakes: Handshakes
  readonly connect: Method
  readonly wrapper: Method
  subscriber: Subscriber | undefined
}

/**
 * On the module of Node, not on `globalThis` or here: Jest loads this file in a new sandbox for each test file, while the modules of
 * Node are those of the process.
 */
const STATE = Symbol.for('testdb.refusals')
const store = net as unknown as { [STATE]?: Watch | undefined }
const sockets = net.Socket.prototype as unknown as { connect: Method; emit: Method }

/**
 * Calls `listener` for each connection of this process to that address which the server refuses with 53300; returns what ends
 * that. There is one listener at a time: a later call replaces it. `here` is asked when a connection is begun, and what it says is
 * handed to the listener: by the time of the refusal another test may run. `greeted` hears of each connection to any server.
 */
export function onRefusal<From = undefined>(
  address: Address,
  listener: RefusalListener<From>,
  here?: () => From,
  greeted?: GreetingListener<From>,
): () => void {
  store[STATE] ??= wrapConnect()
  const watch = store[STATE]
  const subscriber = {
    ...{ address, here: here ?? (() => undefined) },
    listener: listener as RefusalListener<unknown>,
    greeted: greeted as GreetingListener<unknown> | undefined,
  }
  watch.subscriber = subscriber
  return () => {
    if (watch.subscriber !== subscriber) return
    watch.subscriber = undefined
    // Who has wrapped it after us keeps what is there now, and it does nothing without a subscriber.
    if (sockets.connect !== watch.wrapper) return
    sockets.connect = watch.connect
    store[STATE] = undefined
  }
}

/** A connection that is made in `connect`, before it returns, may be refused because the server is full without anybody being told. */
export function withoutTelling<T>(connect: () => T): T {
  quiet++
  try {
    return connect()
  } finally {
    quiet--
  }
}

/** Tells of such a refusal after all: the connection was tried often enough. */
export async function tellRefusal({ message, routine }: Omit<Refusal, 'sqlstate'>): Promise<void> {
  const refusal = { sqlstate: SQLSTATE.tooManyConnections, message, routine }
  const subscriber = store[STATE]?.subscriber
  await subscriber?.listener(refusal, subscriber.here())?.catch(() => undefined)
}

/** The functions of the server that refuse because of a database's or a role's own limit; their texts may be translated. */
export const OWN_LIMIT: readonly unknown[] = ['CheckMyDatabase', 'InitializeSessionUserId']

let quiet = 0

function wrapConnect(): Watch {
  const watch: Watch = {
    handshakes: new Handshakes(),
    connect: sockets.connect,
    wrapper(...args) {
      let own = args
      let turn: Turn | undefined
      let greet: (() => void) | undefined
      try {
        const { subscriber } = watch
        const socket = this as Socket
        const destination = destinationOf(args)
        const watched = subscriber !== undefined && socket.encrypted !== true
        const ours = watched && leadsTo(subscriber.address, destination)
        if (watched && !isOwn(socket)) greet = () => tellGreeting(socket, { destination, ours, ...subscriber })
        if (ours) {
          turn = watch.handshakes.turn(socket)
          listenIn(socket, watch, turn)
          const now = turn.of(destination)
          if (now !== destination) own = [now, ...args.flat().filter((one) => typeof one === 'function')]
        }
      } catch {
        // What can not be watched connects all the same.
      }
      try {
        const result = watch.connect.apply(this, own)
        // Only now: Node puts its own `write` in the place of any other.
        greet?.()
        return result
      } catch (error) {
        // Wrong arguments: there is no connection that could end.
        turn?.over()
        throw error
      }
    },
    subscriber: undefined,
  }
  sockets.connect = watch.wrapper
  return watch
}

/** A listener for `data` would make the socket flow; what passes by does not. Readers by `read()` and pipes emit `data`, too. */
function listenIn(socket: Socket, watch: Watch, turn: Turn): void {
  const reader = new StartupReader()
  const mayPass = quiet > 0
  const from = watch.subscriber?.here()
  const before = Object.getOwnPropertyDescriptor(socket, 'emit')
  const { emit } = socket
  let over = false
  /** What the owner is told later. */
  let held: unknown[][] | undefined
  const stop = (): void => {
    over = true
    turn.over()
    if (socket.emit !== passing) return
    if (before) Object.defineProperty(socket, 'emit', before)
    else delete (socket as Partial<Socket>).emit
  }
  const release = (): void => {
    // Each by itself: what a listener throws is an uncaught exception, as it is without us, and the next is told all the same.
    for (const news of held ?? []) process.nextTick(() => emit.apply(socket, news))
    held = undefined
    stop()
  }
  function passing(this: unknown, ...args: unknown[]): unknown {
    if (held && NEWS.includes(args[0])) return held.push(args) > 0
    if (!over && args[0] === 'data') {
      const waiting = look(args[1])
      if (waiting) {
        held = [args]
        settled(waiting, release)
        return true
      }
    } else if (!over && args[0] === 'close') stop()
    else if (args[0] === 'connect') turn.connected()
    return emit.apply(this, args)
  }
  const look = (chunk: unknown): Promise<unknown> | undefined => {
    let waiting: Promise<unknown> | undefined
    try {
      const said = Buffer.isBuffer(chunk) ? reader.read(chunk) : 'over'
      if (said === 'more') return undefined
      over = true
      turn.over()
      if (said !== 'over' && said.sqlstate === SQLSTATE.tooManyConnections) {
        if (!mayPass || OWN_LIMIT.includes(said.routine)) waiting = watch.subscriber?.listener(said, from)
      }
    } catch {
      over = true
    }
    if (!waiting) stop()
    return waiting
  }
  socket.emit = passing
}

/** Calls `done` when the promise is settled, or when that takes too long. */
function settled(promise: Promise<unknown>, done: () => void): void {
  const timer = setTimeout(done, PATIENCE_MS)
  const end = (): void => {
    clearTimeout(timer)
    done()
  }
  promise.then(end, end)
}
