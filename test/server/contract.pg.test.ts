/** The contract of servers, on each kind that this machine has. */
import { randomBytes } from 'node:crypto'
import { type ConnectionTarget, formatUrl, type Session, withSession } from '../../src/postgres/index.ts'
import { connectUrl } from '../../src/server/url.ts'
import { isShort } from '../helpers/effort.ts'
import { openLab } from '../helpers/embedded.ts'
import { findInstalled } from '../helpers/installed-postgres.ts'
import { type PrivatePostgresOptions, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { execute } from '../helpers/world.ts'
import { PGBOUNCER, startBouncer } from '../locks/pgbouncer.ts'
import { type ServerKind, serverContract } from './contract.ts'

const SUPERUSER = { createDatabase: true, resetRows: true, endSessions: 'all' } as const
const OWNER = { createDatabase: true, resetRows: false, endSessions: 'own' } as const
const PLAIN = { createDatabase: false, resetRows: false, endSessions: 'own' } as const

/** A server of somebody else. `everywhere`: SQL for all databases that are made later. `prepare` gives the target of the URL, whose database is `app_test`. */
async function byUrl(
  prepare: (session: Session, target: ConnectionTarget) => Promise<Partial<ConnectionTarget>>,
  options: PrivatePostgresOptions & { readonly everywhere?: string } = {},
) {
  const { admin, stop } = await startPrivatePostgres(options)
  const target = { ...admin, database: 'app_test' }
  if (options.everywhere !== undefined) {
    const { everywhere } = options
    await execute(admin, 'alter database template0 allow_connections true')
    await execute({ ...admin, database: 'template0' }, everywhere)
    await execute(admin, 'alter database template0 allow_connections false')
  }
  const changed = await withSession(admin, { applicationName: 'test' }, async (session) => {
    await session.query('create database app_test template template0')
    return await prepare(session, target)
  })
  const url = formatUrl({ ...target, ...changed })
  return { open: () => connectUrl({ url }), stop, target }
}

/** Makes a role of that name and says how to log in as it. */
const role =
  (options: string) =>
  async (session: Session): Promise<Partial<ConnectionTarget>> => {
    const password = randomBytes(8).toString('hex')
    await session.query(`create role app login ${options} password '${password}'`)
    await session.query(`alter database app_test owner to app`)
    return { user: 'app', password }
  }

/** The version matrix has these, so `.ci/run` leaves them to it. */
const onEveryMajor: readonly ServerKind[] = [
  {
    name: 'embedded',
    can: SUPERUSER,
    async start() {
      const lab = await openLab()
      const options = lab.options()
      return { open: () => lab.module.startEmbedded(options), stop: () => lab.close() }
    },
  },
  {
    name: 'by URL, as a role with CREATEDB',
    can: OWNER,
    start: () => byUrl(role('createdb'), { password: 'secret' }),
  },
  {
    name: 'by URL, as a plain role',
    can: PLAIN,
    start: () => byUrl(role('')),
  },
]
const inMatrix = process.env.TESTDB_TEST_PACKAGES !== undefined
if (inMatrix || !isShort) for (const kind of onEveryMajor) serverContract(kind)

// The rest is the same on every major.
if (!inMatrix) {
  serverContract({ name: 'by URL, as a superuser', can: SUPERUSER, start: () => byUrl(async () => ({})) })

  serverContract({
    name: 'by URL, as the administrator of a managed server',
    can: { createDatabase: true, resetRows: false, endSessions: 'none' },
    start: () =>
      byUrl(role('createdb createrole'), {
        everywhere: 'revoke execute on function pg_terminate_backend(int, bigint) from public',
      }),
  })

  /** The pooler must know the roles of tests too: they connect through it. */
  const bounced =
    (prepare: Parameters<typeof byUrl>[0], users: readonly string[]): ServerKind['start'] =>
    async () => {
      const server = await byUrl(prepare)
      const bouncer = await startBouncer(server.target, 'session', { users, poolSize: 40 })
      const user = users[0] as string
      const url = formatUrl({ ...bouncer.target, user, database: 'app_test' })
      return {
        open: () => connectUrl({ url }),
        async stop() {
          await bouncer[Symbol.asyncDispose]()
          await server.stop()
        },
      }
    }
  const pooler = PGBOUNCER === undefined ? 'PgBouncer is not installed (apt-get install pgbouncer)' : undefined

  if (!isShort) {
    serverContract({
      name: 'by URL, through PgBouncer in session mode, as a superuser',
      missing: pooler,
      can: SUPERUSER,
      start: bounced(async () => ({}), ['postgres', 'testdb']),
    })
  }

  serverContract({
    name: 'by URL, through PgBouncer in session mode, as a role with CREATEDB',
    missing: pooler,
    can: OWNER,
    start: bounced(role('createdb'), ['app']),
  })

  const installation = findInstalled()
  const distribution = `by URL, on the PostgreSQL ${installation?.major ?? 'that would be'} of the distribution`
  const missing = installation ? undefined : 'no PostgreSQL is installed (apt-get install postgresql-15)'
  const there = installation ? { installation } : {}
  serverContract({
    name: `${distribution}, as a role with CREATEDB`,
    missing,
    can: OWNER,
    start: () => byUrl(role('createdb'), { ...there, password: 'secret' }),
  })
  if (!isShort) {
    serverContract({
      name: `${distribution}, as a superuser`,
      missing,
      can: SUPERUSER,
      start: () => byUrl(async () => ({}), there),
    })
    serverContract({
      name: `${distribution}, as a plain role`,
      missing,
      can: PLAIN,
      start: () => byUrl(role(''), there),
    })
  }
}
