/**
 * Tells when statements of one connection begin and end. Of any copy of the driver: it is the connection's own `query` that is
 * wrapped. What the caller gets is what it would get without us; an error that nobody handles stays one.
 *
 * Not timed are cursors and streams, which are read when their reader likes, and the form with the callback inside the object.
 */
import { statementOf } from './statement-text.ts'

type Method = (this: unknown, ...args: unknown[]) => unknown

/** One statement; the same object at its beginning and its end. */
export interface RunningStatement {
  readonly text: string
  /** `performance.now()` of its beginning. */
  readonly since: number
}

export interface StatementListener {
  begun(statement: RunningStatement): void
  ended(statement: RunningStatement): void
}

interface Watched {
  query: Method
}

/** Returns what ends it. A connection that is no driver's (without `query`) is left alone. */
export function timeStatements(connection: object, listener: StatementListener): () => void {
  const client = connection as Watched
  const own = Object.getOwnPropertyDescriptor(client, 'query')
  const original = client.query
  if (typeof original !== 'function') return () => undefined
  let watching = true
  const wrapper: Method = function (...args) {
    return watching ? timed((...given) => original.apply(this, given), args, listener) : original.apply(this, args)
  }
  client.query = wrapper
  return () => {
    watching = false
    // Who has wrapped it after us keeps what is there now; it only passes calls on.
    if (client.query !== wrapper) return
    if (own) Object.defineProperty(client, 'query', own)
    else delete (client as Partial<Watched>).query
  }
}

function timed(call: (...args: unknown[]) => unknown, args: unknown[], listener: StatementListener): unknown {
  const asked = args[0] as { readonly submit?: unknown; readonly callback?: unknown } | null | undefined
  if (typeof asked?.submit === 'function' || typeof asked?.callback === 'function') return call(...args)
  const statement = { text: statementOf(asked), since: performance.now() }
  let running = true
  const done = (): void => {
    if (running) listener.ended(statement)
    running = false
  }
  const place = args.findLastIndex((arg, index) => index > 0 && typeof arg === 'function')
  const callback = args[place] as Method | undefined
  const given = callback
    ? args.with(place, function (this: unknown, ...answer: unknown[]) {
        done()
        return callback.apply(this, answer)
      })
    : args
  listener.begun(statement)
  try {
    const result = call(...given)
    // `then` of a branch of its own would take an unhandled rejection for handled.
    if (result instanceof Promise) return result.finally(done)
    if (!callback) done()
    return result
  } catch (error) {
    done()
    throw error
  }
}
