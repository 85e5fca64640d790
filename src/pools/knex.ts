/** The same caps for Knex. Knex is the user's: it is loaded from their project when it is asked for. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import type { Knex } from 'knex'
import { TestDbError } from '../errors.ts'
import {
  type ClientClass,
  type ConnectionTarget,
  keepLosses,
  limitsSql,
  markOwn,
  type PoolLimits,
  poolConfig,
  watchPools,
  whileServerIsFull,
} from '../postgres/index.ts'

/** A Knex configuration for the user's own `knex(...)` call, with testdb's caps. `projectRoot`: whose Knex it is for. */
export function knexConfig(
  target: ConnectionTarget,
  limits: PoolLimits,
  applicationName: string,
  projectRoot: string,
): Knex.Config {
  const {
    max,
    connectionTimeoutMillis,
    idleTimeoutMillis,
    maxLifetimeSeconds,
    allowExitOnIdle,
    verify,
    ...connection
  } = poolConfig(target, limits, applicationName)
  const lifetime = knowsLifetime(projectRoot) ? { maxConnectionLifetimeMillis: limits.lifetimeMs } : {}
  const afterCreate = target.pooled && { afterCreate: limiting(limits) }
  const pool = { min: 0, max: limits.max, acquireTimeoutMillis: limits.acquireMs, idleTimeoutMillis: limits.idleMs }
  return {
    client: 'pg',
    connection: connection as Knex.PgConnectionConfig,
    acquireConnectionTimeout: limits.acquireMs,
    pool: { ...pool, ...lifetime, ...afterCreate } as Knex.PoolConfig,
  }
}

/** Behind a pooler each new connection is told its time limits. */
function limiting(limits: PoolLimits) {
  type Connection = { query(sql: string, done: (error: unknown) => void): void }
  return (connection: Connection, done: (error: unknown, connection: Connection) => void): void =>
    connection.query(limitsSql(limits), (error) => done(error, connection))
}

/** An older Knex hands every option on to its pool, which refuses those it does not know. */
function knowsLifetime(projectRoot: string): boolean {
  try {
    const { version } = createRequire(join(projectRoot, 'package.json'))('knex/package.json') as { version: string }
    const [major = 0, minor = 0] = version.split('.').map(Number)
    return major > 3 || (major === 3 && minor >= 3)
  } catch {
    return false
  }
}

/** What Knex asks its driver for. */
export interface KnexDriver {
  readonly Client: ClientClass
  readonly types: never
}

/** The Knex of the project. Throws `TESTDB_PEER_MISSING`. */
export function loadKnex(projectRoot: string): (config: Knex.Config) => Knex {
  const require = createRequire(join(projectRoot, 'package.json'))
  let knex: unknown
  try {
    knex = require('knex')
  } catch (cause) {
    throw new TestDbError('TESTDB_PEER_MISSING', 'db.knex() needs the package "knex": npm i knex', { cause })
  }
  return (typeof knex === 'function' ? knex : (knex as { default: unknown }).default) as (config: Knex.Config) => Knex
}

/** Opens a Knex instance of testdb's own with the Knex of the project at `projectRoot`. `clientOf`: what its connections are, if not the driver's. */
export function openKnex(
  projectRoot: string,
  config: Knex.Config,
  clientOf?: (driver: KnexDriver) => ClientClass,
): Knex {
  const create = loadKnex(projectRoot)
  // It may have been loaded only now.
  watchPools()
  const instance = create(config)
  markOwn(instance.client as object)
  waitWhileFull(instance)
  noteLosses(instance)
  if (clientOf) {
    const client = instance.client as { driver: KnexDriver }
    client.driver = Object.create(client.driver, { Client: { value: clientOf(client.driver) } })
  }
  return instance
}

/** As for pools of the driver: strays of a neighbour may fill the server for moments. */
function waitWhileFull(knex: Knex): void {
  const client = knex.client as { acquireRawConnection(): Promise<unknown>; config: Knex.Config }
  const connect = client.acquireRawConnection.bind(client)
  client.acquireRawConnection = () => whileServerIsFull(client.config.acquireConnectionTimeout ?? 0, connect)
}

/** As for pools of the driver. Knex replaces the connection when it is asked for one; only unused ones count, others are somebody's error. */
function noteLosses(knex: Knex): void {
  type Raw = { on(event: 'error', listener: (error: unknown) => void): void }
  const client = knex.client as {
    acquireRawConnection(): Promise<Raw>
    readonly connectionSettings?: { readonly application_name?: string }
    readonly pool?: { readonly free?: readonly { readonly resource: unknown }[] }
  }
  const losses = keepLosses(knex, `Knex's pool "${client.connectionSettings?.application_name ?? ''}"`)
  const connect = client.acquireRawConnection.bind(client)
  client.acquireRawConnection = async () => {
    const connection = await connect()
    losses.recovered()
    let noted = false
    connection.on('error', (error) => {
      // The end of the socket follows the server's last word.
      if (noted || !client.pool?.free?.some(({ resource }) => resource === connection)) return
      noted = true
      losses.note(error)
    })
    return connection
  }
}

/** Destroys a Knex instance; a transaction that was never ended would keep `destroy()` waiting for ever, so it is left behind. */
export async function closeKnex(knex: Knex, graceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs)
  })
  await Promise.race([knex.destroy(), late])
  clearTimeout(timer)
}
