/** The connections of one Knex run: our target, the user's pool options, and an end that can not hang. */
import { publish } from '../events.ts'
import type { KnexInstance, KnexPoolOptions, RawConnection } from './knex-types.ts'
import type { MigrationTarget } from './migrator.ts'
import { MIGRATE_APPLICATION } from './steps.ts'

/** Knex's default; a migration outside a transaction that opens one while it queries needs more than one. */
const POOL_MAX = 10

/** How long a query that nobody waited for may still run (ms). Long enough for statements of a seed, short for a person. */
const CLOSE_TIMEOUT_MS = 5_000

/** A killed run's statement must end with it: until then it looks like a living holder of the migration lock. */
const NOTICE_DEAD_CLIENT = `select set_config(name, '200', false) from pg_settings
  where name = 'client_connection_check_interval' and version() !~* 'windows|mingw|msvc'`

export function connectionFor(target: MigrationTarget): Record<string, unknown> {
  const { password, ssl, ...rest } = target.connection
  return {
    ...rest,
    ...(password !== undefined && { password }),
    ...(ssl !== undefined && { ssl }),
    application_name: MIGRATE_APPLICATION,
  }
}

/** `connections` collects every connection that the pool opens. */
export function poolFor(
  given: KnexPoolOptions = {},
  target: MigrationTarget,
  connections: Set<RawConnection>,
): KnexPoolOptions {
  type Done = (error?: unknown, connection?: unknown) => void
  return {
    ...given,
    min: 0,
    max: given.max ?? POOL_MAX,
    afterCreate: (connection: RawConnection, done: Done) => {
      connections.add(connection)
      const next = (error?: unknown): unknown => {
        if (error) return done(error)
        return given.afterCreate ? given.afterCreate(connection, done) : done(null, connection)
      }
      const settings = [NOTICE_DEAD_CLIENT]
      if (target.lockTimeoutMs !== undefined) settings.push(`set lock_timeout = ${Number(target.lockTimeoutMs)}`)
      return connection.query(settings.join(';'), next)
    },
  }
}

/**
 * Knex waits for every connection to come back, so a transaction that a migration left open would keep it for ever. After the
 * timeout the connections are cut; the server then rolls back what was left open.
 */
export async function closeKnex(
  knex: Pick<KnexInstance, 'destroy'>,
  connections: ReadonlySet<RawConnection>,
  timeoutMs = CLOSE_TIMEOUT_MS,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, 'late')
  })
  // An error while closing must not hide the migration's own.
  const closed = knex.destroy().catch(() => undefined)
  const winner = await Promise.race([closed, late])
  clearTimeout(timer)
  if (winner !== 'late') return
  for (const one of connections) one.connection?.stream?.destroy()
  publish('warning.raised', {
    message: `a migration or seed left a transaction or query open; after ${timeoutMs} ms its connections were cut and its work is rolled back`,
  })
}
