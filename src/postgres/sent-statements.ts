/** Hears of the statements that clients of the driver are asked, in whatever copy of it: what pools and Knex ask goes through them. */
import { join, sep } from 'node:path'
import pg from 'pg'
import { loadedPrototypes, ownerOf } from './driver-copies.ts'
import {
  type ClientNotes,
  connecting,
  type DriverClient,
  type DriverListener,
  listenerFor,
  notesOf,
  rememberClient,
} from './driver-notes.ts'

/** What outlives every database. */
const MAKES = /\bcreate\s+(?:role|user|group|database|tablespace)\b/i
/** A bulk insert is not searched to its end (characters). */
const SEARCHED = 10_000

type Method = (this: DriverClient, ...args: unknown[]) => unknown
type Prototype = { query: Method; connect: Method; [WRAPPED]?: true }
const WRAPPED = Symbol.for('testdb.statements')

/** Of our copy of the driver, and of those that the project has loaded so far. Safe to call again. */
export function watchStatements(): void {
  wrap(ownerOf(pg.Client.prototype, 'query'))
  for (const prototype of loadedPrototypes(join(sep, 'pg', 'lib', 'client.js'))) wrap(prototype)
}

function wrap(owner: object | undefined): void {
  const prototype = owner as Prototype | undefined
  if (typeof prototype?.query !== 'function' || prototype[WRAPPED]) return
  Object.defineProperty(prototype, WRAPPED, { value: true })
  const { connect } = prototype
  prototype.connect = function (...args) {
    return connecting(() => connect.apply(this, args))
  }
  const original = prototype.query
  prototype.query = function (...args) {
    const listener = listenerFor(this)
    const text = listener && textOf(args[0])
    if (!listener || text === undefined) return original.apply(this, args)
    const notes = notesOf<ClientNotes>(this)
    if (notes.statement === undefined) rememberClient(this)
    notes.statement = text
    listener.sent(this, text)
    if (!MAKES.test(text.length > SEARCHED ? text.slice(0, SEARCHED) : text)) return original.apply(this, args)
    return making(listener, this, text, args, (own) => original.apply(this, own))
  }
}

function textOf(asked: unknown): string | undefined {
  const text = typeof asked === 'object' && asked !== null ? (asked as { text?: unknown }).text : asked
  return typeof text === 'string' ? text : undefined
}

/** Tells when it has succeeded: who makes what was there already has not made it. */
function making(
  listener: DriverListener,
  client: DriverClient,
  text: string,
  args: unknown[],
  ask: (args: unknown[]) => unknown,
): unknown {
  const place = args.findLastIndex((arg) => typeof arg === 'function')
  const callback = args[place] as ((error: unknown, ...rest: unknown[]) => unknown) | undefined
  if (callback) {
    return ask(
      args.with(place, (error: unknown, ...rest: unknown[]) => {
        if (!error) listener.made(client, text)
        return callback(error, ...rest)
      }),
    )
  }
  const result = ask(args)
  if (!(result instanceof Promise)) return result
  // What comes of it is what is returned: an error that nobody handles must stay one.
  return result.then((value) => {
    listener.made(client, text)
    return value
  })
}
