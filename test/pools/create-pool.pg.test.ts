import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool } from '../../src/pools/index.ts'
import { formatUrl } from '../../src/postgres/index.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
let connectionString: string
beforeAll(async () => {
  world = await World.create()
  connectionString = formatUrl(world.admin)
})
afterAll(() => world.close())

/** What the server says that sessions of a name do. */
async function running(name: string): Promise<string[]> {
  const { rows } = await world.session.query<{ state: string }>(
    `select state from pg_stat_activity where application_name = $1 and state <> 'idle'`,
    [name],
  )
  return rows.map(({ state }) => state)
}

test('its limits are those of the options', async () => {
  const pool = createPool({
    ...{ connectionString, max: 2, connectionTimeoutMs: 500, applicationName: 'api' },
    ...{ statementTimeoutMs: 1_234, idleInTransactionMs: 2_345 },
  })
  const { rows } = await pool.query(
    `select current_setting('statement_timeout') as statement, current_setting('application_name') as name,
            current_setting('idle_in_transaction_session_timeout') as idle`,
  )
  expect(rows).toEqual([{ statement: '1234ms', name: 'api', idle: '2345ms' }])
  const held = [await pool.connect(), await pool.connect()]
  expect((await errorOf(pool.query('select 1'))).message).toContain('timeout')
  for (const client of held) client.release()
  await pool.end()
})

test('its defaults', async () => {
  const pool = createPool({ connectionString })
  expect(pool.options).toMatchObject({
    max: 20,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: 1_800,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 60_000,
    application_name: 'testdb pool',
  })
  await pool.end()
})

test('a connection that the server ends, idle or in use, does not end the process', async () => {
  const pool = createPool({ connectionString, applicationName: 'ended' })
  const used = await pool.connect()
  const end = new Promise((resolve) => used.once('end', () => resolve(undefined)))
  await pool.query('select 1')
  await world.session.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ended'`)
  await eventually('the idle one is gone', () => pool.totalCount === 1)
  await within('the one in use notices it', end)
  expect((await errorOf(used.query('select 1'))).message).toContain('not queryable')
  used.release()
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})

test("why the limit is the server's: the driver's own leaves the query running", async () => {
  const theirs = new pg.Pool({ connectionString, query_timeout: 50, application_name: 'driver' })
  theirs.on('error', () => undefined)
  expect((await errorOf(theirs.query('select pg_sleep(600)'))).message).toBe('Query read timeout')
  expect(await running('driver')).toEqual(['active'])
  await world.session.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'driver'`)
  await theirs.end()

  const ours = createPool({ connectionString, statementTimeoutMs: 50, applicationName: 'server' })
  expect(await errorOf(within('it is cancelled', ours.query('select pg_sleep(600)')))).toMatchObject({ code: '57014' })
  expect(await running('server')).toEqual([])
  await ours.end()
})
