/** The same caps for Knex. Knex is the user's: it is loaded from their project when it is asked for. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import type { Knex } from 'knex'
import { TestDbError } from '../errors.ts'
import { type ClientClass, type ConnectionTarget, type PoolLimits, poolConfig } from '../postgres/index.ts'

/** A Knex configuration for the user's own `knex(...)` call, with testdb's caps. */
export function knexConfig(target: ConnectionTarget, limits: PoolLimits, applicationName: string): Knex.Config {
  const { max, connectionTimeoutMillis, idleTimeoutMillis, maxLifetimeSeconds, allowExitOnIdle, ...connection } =
    poolConfig(target, limits, applicationName)
  return {
    client: 'pg',
    connection: connection as Knex.PgConnectionConfig,
    acquireConnectionTimeout: limits.acquireMs,
    pool: { min: 0, max: limits.max, acquireTimeoutMillis: limits.acquireMs, idleTimeoutMillis: limits.idleMs },
  }
}

/** What Knex asks its driver for. */
export interface KnexDriver {
  readonly Client: ClientClass
  readonly types: never
}

/** Opens a Knex instance with the Knex of the project at `projectRoot`. `clientOf`: what its connections are, if not the driver's. */
export function openKnex(
  projectRoot: string,
  config: Knex.Config,
  clientOf?: (driver: KnexDriver) => ClientClass,
): Knex {
  const require = createRequire(join(projectRoot, 'package.json'))
  let knex: unknown
  try {
    knex = require('knex')
  } catch (cause) {
    throw new TestDbError('TESTDB_PEER_MISSING', 'db.knex() needs the package "knex": npm i knex', { cause })
  }
  const create = (typeof knex === 'function' ? knex : (knex as { default: unknown }).default) as (
    config: Knex.Config,
  ) => Knex
  const instance = create(config)
  if (clientOf) {
    const client = instance.client as { driver: KnexDriver }
    client.driver = Object.create(client.driver, { Client: { value: clientOf(client.driver) } })
  }
  return instance
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
