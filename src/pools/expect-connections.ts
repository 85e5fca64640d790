/** For tests: how many connections a piece of code has at the same time. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { TestDbError } from '../errors.ts'
import { type CheckOutObserver, observeCheckOuts, shownStatement } from '../postgres/index.ts'
import { wrongArgument } from './settings.ts'

export interface ExpectConnectionsOptions {
  /** Connections at the same time at most; 0: none at all. */
  readonly max: number
}

/** One connection at the peak. */
export interface PeakConnection {
  /** `application_name` of its pool; '' when it has none. */
  readonly applicationName: string
  readonly database: string
  /** The last statement while it was held: shortened, without literals; undefined when there was none. */
  readonly lastStatement: string | undefined
}

const calls = new AsyncLocalStorage<Call>()

/**
 * Runs `fn` and gives what it gives, unless it had more than `max` connections at the same time. A broadcast to three rooms that takes
 * three connections empties the pool under load; it should take one.
 *
 * Connections that are taken from pools of `pg` and Knex count, and clients that are connected outside of pools, in this process: those
 * that were asked for while `fn` ran. One that a pool had to open counts until it is closed. Idle ones
 * that were there do not count, and neither do those that were taken before, nor testdb's own.
 *
 * Calls may be nested (the outer one counts what the inner one takes) and run at the same time: a connection belongs to the call in
 * whose async context it was asked for. One that was asked for outside of any, by a server of this process for example, counts for every
 * call that runs. In callbacks of `pg` (`pool.query(sql, callback)`) Node may have another call's context; promises and Knex are safe.
 *
 * @throws what `fn` throws; TESTDB_CONNECTIONS_EXCEEDED with the connections at the peak (`details.connections`); TESTDB_CONFIG_INVALID
 * @example
 * import { expectConnections } from 'testdb/pools'
 *
 * await expectConnections(() => broadcast(['red', 'green', 'blue'], 'hello'), { max: 1 })
 */
export async function expectConnections<T>(
  fn: () => Promise<T> | T,
  { max }: ExpectConnectionsOptions,
): Promise<Awaited<T>> {
  if (typeof fn !== 'function') throw wrongArgument('expectConnections', 'fn', 'a function', fn, PAGE)
  if (!Number.isSafeInteger(max) || max < 0)
    throw wrongArgument('expectConnections', 'max', 'an integer from 0', max, PAGE)
  const call = new Call(calls.getStore())
  const end = observeCheckOuts(call)
  try {
    // A query of Knex begins when somebody waits for it, so that has to be inside, too.
    const result = await calls.run(call, async () => await fn())
    if (call.peak.length > max) throw exceeded(call.peak, max)
    return result
  } finally {
    call.running = false
    end()
  }
}

const PAGE = 'docs/pools.md'

interface Held {
  readonly connection: object
  text: string | undefined
}

class Call implements CheckOutObserver {
  running = true
  readonly #outer: Call | undefined
  readonly #held = new Map<object, Held>()
  readonly #opened = new WeakSet<object>()
  #peak: readonly Held[] = []

  constructor(outer: Call | undefined) {
    this.#outer = outer
  }

  get peak(): readonly PeakConnection[] {
    return this.#peak.map(({ connection, text }) => {
      const { applicationName, database } = placeOf(connection)
      return { applicationName, database, lastStatement: text === undefined ? undefined : shownStatement(text) }
    })
  }

  /** Whether it is ours. */
  asked(): boolean {
    let here = calls.getStore()
    // What is left of a call that has ended belongs to nobody.
    while (here && !here.running) here = here.#outer
    if (!here) return true
    for (; here; here = here.#outer) if (here === this) return true
    return false
  }

  taken(connection: object, ours: unknown): void {
    // Knex on a pool of the driver tells of one connection twice.
    if (ours !== true || this.#held.has(connection) || isOfTestdb(connection)) return
    this.#held.set(connection, { connection, text: undefined })
    if (this.#held.size > this.#peak.length) this.#peak = [...this.#held.values()]
  }

  given(connection: object): void {
    // One that its pool had to open stays open; whether short uses of several overlap is chance, that they were opened is not.
    if (!this.#opened.has(connection)) this.#held.delete(connection)
  }

  opened(connection: object): void {
    this.#opened.add(connection)
  }

  closed(connection: object): void {
    this.#held.delete(connection)
  }

  statement(connection: object, text: string): void {
    const held = this.#held.get(connection)
    // What ends a transaction says nothing of it.
    if (held && !/^\s*(commit|rollback)\b/i.test(text)) held.text = text
  }
}

function exceeded(connections: readonly PeakConnection[], max: number): TestDbError {
  const lines = connections.map(
    ({ applicationName, database, lastStatement }) =>
      `\n  "${applicationName}" on ${database}, last statement: ${lastStatement ?? 'none'}`,
  )
  const what = `${connections.length} connections were used at the same time, expected were ${max} at most${lines.join('')}`
  return new TestDbError('TESTDB_CONNECTIONS_EXCEEDED', what, { details: { max, connections } })
}

function placeOf(connection: object): { readonly applicationName: string; readonly database: string } {
  const { connectionParameters, database } = connection as {
    readonly database?: string
    readonly connectionParameters?: { readonly application_name?: unknown }
  }
  const name = connectionParameters?.application_name
  return { applicationName: typeof name === 'string' ? name : '', database: database ?? '' }
}

/** Sessions that testdb needs for itself; its pools and locks for applications are theirs. */
function isOfTestdb(connection: object): boolean {
  const { applicationName } = placeOf(connection)
  return applicationName.startsWith('testdb ') && !/^testdb (pool|locks)$/.test(applicationName)
}
