/**
 * Who hears what testdb says: loggers, listeners, and stderr where there is no logger. Each of them once in a process, however
 * many copies of this module there are (setup file and fixtures, a sandbox for each test file in Jest, several runs).
 *
 * Nobody who listens can fail a test: what they throw is said once, and forgotten.
 */
import { channel } from 'node:diagnostics_channel'
import { messageOf } from '../errors.ts'
import { ALL_EVENTS, type EventName, type Events, subscribeAll } from '../events.ts'

export interface Observers {
  readonly logger?:
    | { info(message: string): void; warn(message: string): void; error(message: string): void }
    | undefined
  /** Takes an event with its name. */
  readonly onEvent?: ((event: never) => unknown) | undefined
}

interface Seat {
  readonly observers: Observers
  users: number
  end: () => void
}

/** Kept on a channel of Node's, the one thing that all copies share; a channel lives as long as somebody has subscribed. */
const SEATS = Symbol.for('testdb.observers')
// The one that they listen to: another could be forgotten while they do.
const place = channel(ALL_EVENTS) as object as { [SEATS]?: Map<unknown, Seat> }
place[SEATS] ??= new Map()
const seats = place[SEATS]

/** True when what testdb says goes to a logger, and so not to stderr. */
export const isLogged = (): boolean => [...seats.values()].some(({ observers }) => observers.logger !== undefined)

/** The observers that were given under this key, in this process. */
export const observersOf = (key: unknown): Observers | undefined => seats.get(key)?.observers

/** Tells them everything from now on, once for each key; returns the function that ends it. */
export function observe(key: unknown, observers: Observers): () => void {
  const before = seats.get(key)
  before?.end()
  // By this copy: the one that was asked before may be in a sandbox that is gone.
  const seat = { observers, users: (before?.users ?? 0) + 1, end: listen(observers) }
  seats.set(key, seat)
  let over = false
  return () => {
    const present = seats.get(key)
    if (over || !present) return
    over = true
    present.users -= 1
    if (present.users > 0) return
    present.end()
    seats.delete(key)
  }
}

/** For workers: at once, so that runners show it beside the test that caused it. */
export function sayOnStderr(): void {
  const print = (message: string): void => {
    if (!isLogged()) process.stderr.write(`testdb: ${message}\n`)
  }
  observe('stderr', {
    // Guards print theirs, with what to do about it.
    onEvent: (event: TestDbEvent) => event.name !== 'finding.raised' && say(event, { error: print, warn: print }),
  } as Observers)
}

type TestDbEvent = { readonly [N in EventName]: { readonly name: N } & Events[N] }[EventName]

/** What it returns may be a promise. */
function say(event: TestDbEvent, to: { warn(message: string): unknown; error(message: string): unknown }): unknown {
  if (event.name === 'warning.raised') return to.warn(event.message)
  // One that is an error fails its test, where everybody reads it.
  if (event.name === 'finding.raised') return event.level === 'error' ? to.error(event.message) : to.warn(event.message)
  if (event.name === 'connection.recovered') {
    return to.warn(`${event.what} was lost (${event.cause}) and is back after ${(event.downMs / 1000).toFixed(1)} s`)
  }
  return undefined
}

function listen({ logger, onEvent }: Observers): () => void {
  const said = new Set<string>()
  const complain = (who: string, error: unknown): void => {
    if (!said.has(who)) process.stderr.write(`testdb: ${who} of the configuration has thrown: ${messageOf(error)}\n`)
    said.add(who)
  }
  const safely = (who: string, action: () => unknown): void => {
    try {
      // Also one that is async.
      Promise.resolve(action()).catch((error: unknown) => complain(who, error))
    } catch (error) {
      complain(who, error)
    }
  }
  return subscribeAll(({ name, payload }) => {
    const event = { name, ...payload } as TestDbEvent
    if (logger) safely('logger', () => say(event, logger))
    if (onEvent) safely('onEvent', () => onEvent(event as never))
  })
}
