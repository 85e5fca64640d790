/** A pool of the driver with caps that can not be forgotten; `pools/` decides the numbers. */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import pg from 'pg'
import { keepLosses } from './losses.ts'
import { whileServerIsFull } from './patience.ts'
import type { ConnectionTarget } from './target.ts'

export type Pool = pg.Pool
export type PoolClient = pg.PoolClient

export interface PoolLimits {
  /** Connections at most. */
  readonly max: number
  /** Milliseconds to wait for a free connection. */
  readonly acquireMs: number
  /** Milliseconds an unused connection stays open. */
  readonly idleMs: number
  /** Milliseconds after which a connection is replaced at its next return. */
  readonly lifetimeMs: number
  /** Milliseconds after which the server cancels a statement. */
  readonly statementMs: number
  /** Milliseconds after which the server ends a session that idles in a transaction. */
  readonly idleInTransactionMs: number
}

/** The options of a `pg.Pool`; time limits on statements are the server's, a client-side race would leave the query running. */
export function poolConfig(target: ConnectionTarget, limits: PoolLimits, applicationName: string): pg.PoolConfig {
  const nodeTimers = hasNodeTimers()
  const { parameters: _, pooled, ...place } = target
  return {
    ...(place as pg.PoolConfig),
    application_name: applicationName,
    keepAlive: true,
    max: limits.max,
    connectionTimeoutMillis: limits.acquireMs,
    idleTimeoutMillis: limits.idleMs,
    maxLifetimeSeconds: nodeTimers ? Math.ceil(limits.lifetimeMs / 1000) : 0,
    allowExitOnIdle: nodeTimers,
    ...(pooled
      ? { verify: limiting(limits) }
      : {
          statement_timeout: limits.statementMs,
          idle_in_transaction_session_timeout: limits.idleInTransactionMs,
        }),
  }
}

/** The time limits as a statement, for poolers that refuse them in the start-up packet. */
export const limitsSql = ({ statementMs, idleInTransactionMs }: TimeLimits): string =>
  `set statement_timeout = ${Number(statementMs)}; set idle_in_transaction_session_timeout = ${Number(idleInTransactionMs)}`

type TimeLimits = Pick<PoolLimits, 'statementMs' | 'idleInTransactionMs'>

/** What a pool asks of each new connection before it hands it out. */
function limiting(limits: TimeLimits): (client: pg.ClientBase, done: (error?: Error) => void) => void {
  return (client, done) => {
    client.query(limitsSql(limits)).then(
      () => done(),
      (error: Error) => done(error),
    )
  }
}

/** False where a browser's timers, which are numbers, have taken the place of Node's (jsdom): the driver calls `unref` on two of them. */
function hasNodeTimers(): boolean {
  const timer: unknown = globalThis.setTimeout(() => undefined, 0)
  globalThis.clearTimeout(timer as NodeJS.Timeout)
  return typeof timer === 'object'
}

/**
 * Opens a pool that survives the server ending an idle connection (without a listener that ends the process). `Client`: what its
 * connections are, if not the driver's.
 */
export function openPool(
  target: ConnectionTarget,
  limits: PoolLimits,
  applicationName: string,
  Client?: new () => pg.ClientBase,
): Pool {
  const pool = new pg.Pool({ ...poolConfig(target, limits, applicationName), ...(Client && { Client }) })
  const losses = keepLosses(pool, `the pool "${applicationName}"`)
  pool.on('error', (error) => losses.note(error))
  // The pool listens to idle clients only; one that a test holds when its session is ended would end the process.
  pool.on('connect', (client) => {
    client.on('error', () => undefined)
    losses.recovered()
  })
  waitWhileFull(pool, limits.acquireMs)
  return pool
}

/** Strays of a neighbour may fill the server for moments: that is no reason to fail. `query` connects by `connect` too. */
function waitWhileFull(pool: Pool, patienceMs: number): void {
  type Connected = (
    error: Error | undefined,
    client: pg.PoolClient | undefined,
    release: pg.PoolClient['release'],
  ) => void
  // Looked up for each call: who observes all pools wraps the one of the prototype, maybe later.
  const connect = (): Promise<pg.PoolClient> => (pg.Pool.prototype.connect as () => Promise<pg.PoolClient>).call(pool)
  const patient = (): Promise<pg.PoolClient> => whileServerIsFull(patienceMs, connect)
  pool.connect = ((callback?: Connected) => {
    if (!callback) return patient()
    // Outside of the promise: what a callback throws is nobody's rejection.
    patient().then(
      (client) => process.nextTick(callback, undefined, client, client.release.bind(client)),
      (error: Error) => process.nextTick(callback, error, undefined, () => undefined),
    )
    return undefined
  }) as Pool['connect']
}

/**
 * Ends a pool; a client that was never released would keep `end()` waiting for ever, so its connection is cut.
 * A pool that its user has ended already is fine.
 */
export async function closePool(pool: Pool, graceMs: number): Promise<{ readonly leaked: number }> {
  let timer: NodeJS.Timeout | undefined
  const ended = endPool(pool, graceMs).then(() => true)
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), graceMs)
  })
  const clean = await Promise.race([ended, late])
  clearTimeout(timer)
  if (clean) return { leaked: 0 }
  const clients =
    (pool as Pool & { _clients?: (pg.Client & { connection?: { stream?: { destroy(): void } } })[] })._clients ?? []
  const leaked = [...clients]
  for (const client of leaked) {
    // The pool listens to idle clients only; without a listener the end of this one would end the process.
    client.on('error', () => undefined)
    client.connection?.stream?.destroy()
  }
  return { leaked: leaked.length }
}

/** Gives a connection back that can not be used any more. The pool makes another one only when this one has ended, so it is cut. */
export function discardClient(client: PoolClient): void {
  client.release(true)
  ;(client as PoolClient & { connection?: { stream?: { destroy(): void } } }).connection?.stream?.destroy()
}

/** Who calls `end()` second gets an error; then the first call's end is waited for. */
async function endPool(pool: Pool, graceMs: number): Promise<void> {
  if (!pool.ending) return await pool.end()
  // Counted, because a faked clock stands still.
  for (let waited = 0; !pool.ended && waited <= graceMs; waited += 10) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  if (!pool.ended) await new Promise(() => undefined)
}
