/** The trigger for an application's table: made once by however many, also when the server or the table comes later. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { Listener } from '../../src/databases/listener.ts'
import { installNotifyTrigger } from '../../src/notify/index.ts'
import { createPool } from '../../src/pools/index.ts'
import { type ConnectionTarget, cloneStrategy, formatUrl, Session, withSession } from '../../src/postgres/index.ts'
import { binaries } from '../helpers/packages.ts'
import { startPrivatePostgres } from '../helpers/private-postgres.ts'
import { eventually } from '../helpers/wait.ts'

const database = `notify_${randomBytes(4).toString('hex')}`
let target: ConnectionTarget
let session: Session
let listener: Listener
let connectionString: string
beforeAll(async () => {
  const server = inject('server')
  await withSession(server, { applicationName: 'test' }, (admin) =>
    admin.query(`create database ${database} ${cloneStrategy(binaries.major)}`),
  )
  target = { ...server, database }
  connectionString = formatUrl(target)
  session = await Session.open(target, { applicationName: 'test' })
  listener = new Listener({ target, project: 'notify', rollsBack: false })
})
afterAll(async () => {
  await listener.close()
  await session.close()
  await withSession(inject('server'), { applicationName: 'test' }, (admin) =>
    admin.query(`drop database ${database} with (force)`),
  )
})

/** Identifies what DDL makes anew. */
const versions = async (): Promise<unknown> =>
  (
    await session.query(
      `select t.oid::int, t.xmin::text, p.xmin::text as function from pg_trigger t join pg_proc p on p.oid = t.tgfoid where not tgisinternal order by 1`,
    )
  ).rows

test('names with quotes, capitals and schemas; a key of two columns; all events', async () => {
  await session.query(
    `create schema "My ""App"; create table "My ""App"."Job's" ("Id" int, part text, body text, primary key (part, "Id"))`,
  )
  const table = `"My ""App"."Job's"`
  const channel = `Jobs "of" ${"it's"}`
  const options = {
    connectionString,
    schema: 'My "App',
    table: "Job's",
    channel,
    on: ['delete', 'insert', 'update'] as const,
  }
  const trigger = installNotifyTrigger(options)
  expect(trigger.state).toBe('pending')
  expect([await trigger.ready, trigger.state]).toEqual(['installed', 'installed'])
  const heard = await listener.listen(channel)
  await session.query(`insert into ${table} values (1, 'a', 'x'), (2, 'b', 'y')`)
  await session.query(`update ${table} set body = 'z' where "Id" = 1`)
  await session.query(`delete from ${table} where "Id" = 2`)
  const got = [await heard.next(), await heard.next(), await heard.next(), await heard.next()]
  expect(got.map((one) => one.json())).toEqual([
    { op: 'insert', key: { part: 'a', Id: 1 } },
    { op: 'insert', key: { part: 'b', Id: 2 } },
    { op: 'update', key: { part: 'a', Id: 1 } },
    { op: 'delete', key: { part: 'b', Id: 2 } },
  ])
  await heard.close()
  await trigger.close()
  expect(trigger.state).toBe('installed')
})

test('many at the same time make one; unchanged it is left alone, changed it is replaced', async () => {
  await session.query('create table queue (id int primary key, body text)')
  const pool = createPool({ connectionString, max: 3 })
  // A try that fails is made again, so that it would not show.
  const failed: unknown[] = []
  const options = { table: 'queue', payload: 'row', onError: (error: unknown) => failed.push(error) } as const
  const start = (more: object = {}) => installNotifyTrigger({ ...options, connectionString, ...more })
  // Somebody works on the table, so that they meet.
  await session.query('begin; lock table queue in row exclusive mode')
  const many = [...Array.from({ length: 8 }, () => start()), installNotifyTrigger({ ...options, pool })]
  await eventually('all wait', async () => {
    const { rows } = await session.query<{ n: number }>('select count(*)::int as n from pg_locks where not granted')
    return (rows[0]?.n ?? 0) >= 4
  })
  await session.query('commit')
  expect(await Promise.all(many.map(({ ready }) => ready))).toEqual(Array(9).fill('installed'))
  expect(failed).toEqual([])
  const before = await versions()
  await Promise.all([start().ready, installNotifyTrigger({ ...options, pool }).ready])
  expect(await versions()).toEqual(before)

  const heard = await listener.listen('queue')
  const big = 'ä'.repeat(4_000)
  await session.query(`insert into queue values (1, 'small'), (2, $1)`, [big])
  const [small, large] = [await heard.next(), await heard.next()]
  expect(small.json()).toEqual({ op: 'insert', key: { id: 1 }, row: { id: 1, body: 'small' } })
  expect(large.json()).toEqual({ op: 'insert', key: { id: 2 }, truncated: true })

  await start({ payload: 'none', on: ['update'] }).ready
  expect(await versions()).not.toEqual(before)
  await session.query(`update queue set body = ''`)
  await session.query(`insert into queue values (3, '')`)
  await session.query(`notify queue, 'the end'`)
  expect([(await heard.next()).payload, (await heard.next()).payload]).toEqual(['', 'the end'])

  await start({ key: ['body'] }).ready
  await session.query(`insert into queue values (4, $1)`, [big])
  expect((await heard.next()).json()).toEqual({ op: 'insert', truncated: true })
  await heard.close()
  await pool.end()
})

test('a table that comes later, without a key at first', async () => {
  const errors: string[] = []
  const onError = (error: unknown): void => {
    errors.push((error as Error).message)
    throw new Error('of the application')
  }
  const trigger = installNotifyTrigger({ connectionString, table: 'Later', retryMs: 20, onError })
  await eventually('it is told', () => errors.length === 1)
  await session.query('create table "Later" (id int)')
  await eventually('the next reason', () => errors.length === 2)
  await session.query('alter table "Later" add primary key (id)')
  await trigger.ready
  expect(errors).toEqual([
    'there is no table "Later"',
    `the table "public"."Later" has no primary key: give \`key\`, or \`payload: 'none'\``,
  ])
  const early = installNotifyTrigger({ connectionString, table: 'Later', key: ['id', 'team'], retryMs: 20, onError })
  await eventually('it is told', () => errors.length === 3)
  expect(errors.pop()).toBe('the table "public"."Later" has no column team for `key`; it has id')
  await session.query('alter table "Later" add column team int')
  expect(await early.ready).toBe('installed')
  const never = installNotifyTrigger({ connectionString, schema: 'no', table: 'never', onError })
  await eventually('it is told', () => errors.length === 3)
  await never.close()
  expect([await never.ready, never.state, errors[2]]).toEqual(['closed', 'closed', 'there is no table "no"."never"'])
})

test('a server that comes later', async () => {
  const server = await startPrivatePostgres()
  const there = formatUrl(server.admin)
  await withSession(server.admin, { applicationName: 'test' }, (admin) =>
    admin.query('create table queue (id int primary key)'),
  )
  const down = server.restart()
  const errors: unknown[] = []
  const pool = createPool({ connectionString: there })
  const options = { table: 'queue', retryMs: 50, onError: (error: unknown) => errors.push(error) }
  const both = [
    installNotifyTrigger({ ...options, connectionString: there }),
    installNotifyTrigger({ ...options, pool, channel: 'other' }),
  ]
  await down
  expect(await Promise.all(both.map(({ ready }) => ready))).toEqual(['installed', 'installed'])
  await withSession(server.admin, { applicationName: 'test' }, async (admin) => {
    expect((await admin.query('select from pg_trigger where not tgisinternal')).rows).toHaveLength(2)
  })
  await pool.end()
  await server.stop()
  const unreachable = installNotifyTrigger({ ...options, connectionString: there })
  const before = errors.length
  await eventually('it is told', () => errors.length > before)
  await unreachable.close()
  expect(String((errors.at(-1) as Error).message)).toContain('ECONNREFUSED')
})

test('wrong options are told at once', () => {
  const wrong = {
    connectionString,
    table: '',
    on: ['insert', 'upsert'],
    payload: 'all',
    key: [],
    retryMs: 0,
    chanel: 'x',
    onError: 'log',
  }
  expect(() => installNotifyTrigger(wrong as never)).toThrow(/7 problems/)
})
