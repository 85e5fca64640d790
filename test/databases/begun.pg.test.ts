/** A reset that begins with the look at what a test has left: only where there is nothing. */
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Lease } from '../../src/databases/lease.ts'
import { beginReset } from '../../src/databases/reset/begun.ts'
import { formatUrl, takeLeftovers } from '../../src/postgres/index.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { type TestRun, World } from '../helpers/world.ts'

const MIGRATED = {
  sql: 'create table items (id serial primary key, name text)',
  seed: `insert into items (name) values ('seed')`,
}

let world: World
let run: TestRun
let lease: Lease
let client: pg.Client
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  lease = await world.acquire(world.context(run, await world.template(MIGRATED, run)))
  client = new pg.Client(formatUrl({ ...world.admin, ...world.role, database: lease.name }))
  client.on('error', () => undefined)
  await client.connect()
  await client.query(`insert into items (name) values ('mine')`)
})
afterEach(async () => {
  await client.end()
  await run.end()
  await world.close()
})

const names = async (): Promise<string[]> => {
  const { rows } = await lease.session.query<{ name: string }>('select name from items order by id')
  return rows.map(({ name }) => name)
}
const look = () => takeLeftovers(lease.session, () => true)
const isActive = async (): Promise<boolean> => {
  const sql = `select from pg_stat_activity where pid = $1 and state = 'active'`
  return (await world.session.query(sql, [pid()])).rowCount === 1
}
const pid = (): number => (client as pg.Client & { processID: number }).processID

test('where nobody is at work the database is back with the look, and the reset takes over from there', async () => {
  using resets = collect('database.reset')
  await look()
  const begun = await beginReset(lease, [pid()])
  expect(begun).toMatchObject({ outcome: { schema_changes: null, waiting: false } })
  expect(await names()).toEqual(['seed'])
  await lease.rewind(0, 'a test', begun)
  expect(resets.events).toMatchObject([{ strategy: 'rows' }])
  expect(resets.events[0]?.durationMs).toBeGreaterThan(begun?.durationMs ?? Number.NaN)
  expect(await names()).toEqual(['seed'])
})

test.each(['transaction', 'failed transaction', 'statement', 'stranger', 'no whole look before'] as const)(
  'with a %s nothing is begun, and the reset does it all',
  async (what) => {
    if (what !== 'no whole look before') await look()
    if (what === 'transaction') await client.query('begin')
    if (what === 'failed transaction') await client.query('begin; select 1/0').catch(() => undefined)
    const work = what === 'statement' ? client.query('select pg_sleep(60)').catch(() => undefined) : undefined
    if (work) await eventually('it is at work', isActive)
    expect(await beginReset(lease, what === 'stranger' ? [pid() + 1] : [pid()])).toBeUndefined()
    expect(await names()).toEqual(['seed', 'mine'])
    await lease.rewind(0, 'a test')
    expect(await names()).toEqual(['seed'])
    if (work) await lease.endWork()
    await work
  },
)

test('a change of the schema is dealt with as ever: the database is replaced', async () => {
  await look()
  await client.query('alter table items rename to things')
  const mine = pid()
  await client.end()
  const begun = await beginReset(lease, [mine])
  expect(begun).toMatchObject({ outcome: { schema_changes: expect.stringContaining('ALTER TABLE') } })
  await lease.rewind(0, 'a test', begun)
  expect(await names()).toEqual(['seed'])
})

test('what was begun above the level that is wanted does not count', async () => {
  await look()
  await lease.checkpoint()
  await client.query(`insert into items (name) values ('more')`)
  const begun = await beginReset(lease, [pid()])
  expect(await names()).toEqual(['seed', 'mine'])
  await lease.rewind(0, 'a test', begun)
  expect(await names()).toEqual(['seed'])
})
