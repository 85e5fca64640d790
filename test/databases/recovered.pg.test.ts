/** The server ends sessions, or restarts: nothing crashes, what comes back is told once, and what can not come back is one clear error. */
import type { Knex } from 'knex'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WorkerDatabase } from '../../src/databases/database.ts'
import { Listener } from '../../src/databases/listener.ts'
import { createAdvisoryLocks } from '../../src/locks/index.ts'
import { createPool } from '../../src/pools/index.ts'
import { closeKnex, knexConfig, openKnex } from '../../src/pools/knex.ts'
import { DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { formatUrl, withSession } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { collect, errorOf, eventually } from '../helpers/wait.ts'
import { type TestRun, World } from '../helpers/world.ts'

const ADMIN_SHUTDOWN = 'terminating connection due to administrator command'
const loose: unknown[] = []
const note = (error: unknown): void => void loose.push(error)
beforeAll(() => void process.on('uncaughtException', note).on('unhandledRejection', note))
afterEach(() => expect(loose).toEqual([]))
afterAll(() => void process.off('uncaughtException', note).off('unhandledRejection', note))

const told = (events: readonly { readonly what: string; readonly cause: string }[]): string[] =>
  events.map(({ what, cause }) => `${what}: ${cause}`).sort()

test('sessions of a worker that somebody ends', async () => {
  await using world = await World.create()
  const run: TestRun = await world.run()
  const template = await world.template({}, run)
  const context = world.context(run, template)
  const lease = await world.acquire(context)
  const db = new WorkerDatabase(context, lease, '1')
  using recovered = collect('connection.recovered')
  const pids = async (like: string) =>
    (
      await world.session.query<{ pid: number }>(
        'select pid from pg_stat_activity where datname = $1 and application_name like $2',
        [db.name, like],
      )
    ).rows.map(({ pid }) => pid)
  const end = async (like: string): Promise<void> => {
    for (const pid of await pids(like)) await world.session.query('select pg_terminate_backend($1)', [pid])
    await eventually('they are gone', async () => (await pids(like)).length === 0)
  }
  const knex: Knex = db.knex()
  const idle = () => db.pool.totalCount + (knex.client as { pool: { numFree(): number } }).pool.numFree()

  await Promise.all([db.query('select pg_sleep(0.1)'), db.query('select pg_sleep(0.1)'), knex.raw('select 1')])
  await end('testdb:%')
  await eventually('they are noticed', () => idle() <= 1)
  expect(recovered.events).toEqual([])
  for (let n = 0; n < 3; n++) await Promise.all([db.query('select 1'), knex.raw('select 1')])
  const name = `testdb:${world.project}:1`
  expect(told(recovered.events)).toEqual([
    `2 idle connections of the pool "${name}": ${ADMIN_SHUTDOWN}`,
    `an idle connection of Knex's pool "${name}": ${ADMIN_SHUTDOWN}`,
  ])

  // One that works is an error of who uses it, and nothing else.
  const client = await db.pool.connect()
  await end('testdb:%')
  expect((await errorOf(client.query('select 1'))).message).toMatch(/terminat|not queryable/)
  client.release(true)
  await db.query('select 1')
  recovered.events.splice(0)

  // The lease can not come back: somebody else may have the database now.
  await db.listen('jobs')
  await end('testdb lease:%')
  const errors = [await errorOf(db.reset()), await errorOf(db.resetAfter('a test', 0)), await errorOf(db.checkpoint())]
  expect(errors.map(({ code }) => code)).toEqual(['TESTDB_LEASE_LOST', 'TESTDB_LEASE_LOST', 'TESTDB_LEASE_LOST'])
  await db.release()
  await eventually('no session is left', async () => (await pids('%')).length === 0)
  // The run's session is its life: ended, it has nothing to give back.
  await world.session.query('select pg_terminate_backend($1)', [run.session.backendPid])
  await eventually('the run is lost', () => run.session.lost.aborted)
  await run.end()
  expect(recovered.events).toEqual([])
})

test('a clone that takes the place of a database is no loss', async () => {
  await using world = await World.create()
  const run = await world.run()
  const template = await world.template({ reset: 'clone' }, run)
  const context = world.context(run, template, { reset: 'clone' })
  using recovered = collect('connection.recovered')
  const db = new WorkerDatabase(context, await world.acquire(context), '1')
  for (let n = 0; n < 2; n++) {
    await Promise.all([db.query('select 1'), db.knex().raw('select 1'), db.listen('jobs')])
    await db.reset()
  }
  await db.query('select 1')
  await db.knex().raw('select 1')
  expect(recovered.events).toEqual([])
  await db.release()
  await run.end()
})

let server: PrivatePostgres
afterAll(async () => await server?.stop())

test('a restart of the server', async () => {
  server = await startPrivatePostgres()
  const { admin } = server
  const connectionString = formatUrl(admin)
  const pool = createPool({ connectionString, applicationName: 'api' })
  const knex = openKnex(process.cwd(), knexConfig(admin, DEFAULT_LIMITS, 'queries', process.cwd()))
  const locks = createAdvisoryLocks({ connectionString, applicationName: 'locks' })
  const listener = new Listener({ target: admin, project: 'restart', rollsBack: false })
  using recovered = collect('connection.recovered')

  const jobs = await listener.listen('jobs')
  const use = async (): Promise<void> => {
    await Promise.all(Array.from({ length: 3 }, () => pool.query('select pg_sleep(0.05)')))
    await Promise.all([knex.raw('select 1'), locks.withXactLock({ key: 'a', fn: async () => undefined })])
  }
  await use()
  const waiting = jobs.next({ timeoutMs: 30_000 })
  await server.restart()
  await eventually('the listener is back', () => recovered.events.length > 0)
  await use()
  await use()
  await withSession(admin, { applicationName: 'test' }, (session) => session.query(`notify jobs, 'again'`))
  expect(await waiting).toMatchObject({ payload: 'again', afterGap: true })
  expect(told(recovered.events)).toEqual([
    `3 idle connections of the pool "api": ${ADMIN_SHUTDOWN}`,
    `an idle connection of Knex's pool "queries": ${ADMIN_SHUTDOWN}`,
    `an idle connection of the pool "locks": ${ADMIN_SHUTDOWN}`,
    `the session that listens on postgres: ${ADMIN_SHUTDOWN}`,
  ])
  await listener.close()
  await locks.close()
  await closeKnex(knex, 1_000)
  await pool.end()
})
