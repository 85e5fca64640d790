/** Notifications in tests: nothing is lost between the act and the wait, nothing reaches the next test, and a lost session comes back. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { WorkerDatabase } from '../../src/databases/database.ts'
import type { Session } from '../../src/postgres/index.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let template: Template
let db: WorkerDatabase
let app: Session
beforeAll(async () => {
  world = await World.create()
  run = await world.run()
  template = await world.template({}, run)
  const context = world.context(run, template)
  db = new WorkerDatabase(context, await world.acquire(context), '1')
})
beforeEach(async () => {
  app = await world.connect(db.name, 'role')
})
afterEach(async () => {
  await app.close()
  await db.reset()
})
afterAll(async () => {
  await db.release()
  await run.end()
  await world.close()
})

const notify = (channel: string, payload = '') => app.query('select pg_notify($1, $2)', [channel, payload])
const listeners = async () =>
  (
    await world.session.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = $1 and application_name like 'testdb listen:%'`,
      [db.name],
    )
  ).rows.map(({ pid }) => pid)
/** Until a session has got everything that was sent before: it has one answer after the other. */
const arrived = (payload: string) => db.waitForNotification('marker', { act: () => notify('marker', payload) })

test('what comes between the act and the wait is there, in its order, however it is asked for', async () => {
  const jobs = await db.listen('jobs')
  for (const payload of ['1', '{"id":2}', '', '4']) await notify('jobs', payload)
  await arrived('all')
  expect(jobs.waiting.map(({ payload }) => payload)).toEqual(['1', '{"id":2}', '', '4'])
  expect((await jobs.next({ where: ({ payload }) => payload.startsWith('{') })).json()).toEqual({ id: 2 })
  expect(await jobs.next()).toMatchObject({ channel: 'jobs', payload: '1', afterGap: false })
  const [third, fourth, fifth] = [jobs.next(), jobs.next(), jobs.next()]
  await notify('jobs', '5')
  expect([(await third).payload, (await fourth).payload, (await fifth).payload]).toEqual(['', '4', '5'])
  const wrong = errorOf(
    jobs.next({
      where: () => {
        throw new Error('mine')
      },
    }),
  )
  await notify('jobs', '6')
  expect((await wrong).message).toBe('mine')
})

test('waitForNotification listens first, then acts; what the act throws is thrown', async () => {
  const sent = await db.waitForNotification('jobs', {
    act: async () => {
      await notify('jobs', 'other')
      await notify('jobs', 'mine')
    },
    where: ({ payload }) => payload === 'mine',
  })
  expect(sent.payload).toBe('mine')
  const failed = db.waitForNotification('jobs', { act: () => Promise.reject(new Error('the act')) })
  expect((await errorOf(failed)).message).toBe('the act')
})

test('one session for all channels and waiters, and none stays when the pools are closed', async () => {
  const subscriptions = await Promise.all(['a', 'b', 'b', 'with "quotes"', 'Ä'].map((channel) => db.listen(channel)))
  expect(await listeners()).toHaveLength(1)
  const waits = subscriptions.map((one) => one.next())
  for (const channel of ['Ä', 'with "quotes"', 'b', 'a']) await notify(channel, `to ${channel}`)
  expect((await Promise.all(waits)).map(({ payload }) => payload)).toEqual([
    'to a',
    'to b',
    'to b',
    'to with "quotes"',
    'to Ä',
  ])
  // The end of one leaves the other of its channel.
  await subscriptions[1]?.close()
  await notify('b', 'again')
  expect((await subscriptions[2]?.next())?.payload).toBe('again')
  await db.closePools()
  expect(await listeners()).toEqual([])
  await db.listen('a')
  expect(await listeners()).toHaveLength(1)
})

test('the deadline names the channel, what came beside it, and who has not committed', async () => {
  const shop = await db.listen('Jobs')
  await app.query('notify Jobs')
  await notify('Jobs', 'no')
  const other = await world.connect(db.name, 'role')
  await other.query(`begin; select pg_notify('Jobs', 'never')`)
  const secret = await world.connect(db.name, 'role')
  await secret.query(`begin; select 'password=geheim'`)
  const error = await errorOf(shop.next({ timeoutMs: 200, where: () => false }))
  expect(error.code).toBe('TESTDB_NOTIFICATION_TIMEOUT')
  expect(error.message).toMatch(
    new RegExp(
      `nothing came on "Jobs" of ${db.name} within 200 ms
  1 came that \`where\` did not take, the last with the payload "no"
  1 came on "jobs"
  pid ${other.backendPid} \\(test\\) is in a transaction that is not committed, its last statement: begin; select pg_notify\\(\\?, \\?\\)
  pid ${secret.backendPid} \\(test\\) is in a transaction that is not committed, its last statement: \\(a statement that mentions a password\\)\n`,
    ),
  )
  expect(error.details).toMatchObject({ channel: 'Jobs', received: ['no'], otherChannels: { jobs: 1 }, lost: false })
  expect(error.message).not.toContain('geheim')
  // What was not taken is still there.
  expect((await shop.next()).payload).toBe('no')
  await other.close()
  await secret.close()
  for (const channel of ['', 'x'.repeat(64), 7 as never])
    expect((await errorOf(db.listen(channel))).code).toBe('TESTDB_CONFIG_INVALID')
})

test('it ends with the test: nothing reaches the next one, and who still waits is told', async () => {
  for (const end of [() => db.reset(), () => db.resetAfter('a test', 0)]) {
    const jobs = await db.listen('jobs')
    await notify('jobs', 'old')
    await jobs.next()
    const waiting = jobs.next()
    await notify('other', 'unheard')
    await end()
    expect(await errorOf(waiting)).toMatchObject({ code: 'TESTDB_SUBSCRIPTION_ENDED' })
    expect((await errorOf(jobs.next())).code).toBe('TESTDB_SUBSCRIPTION_ENDED')
    await notify('jobs', 'between')
    const [pid] = await listeners()
    const fresh = await db.listen('jobs')
    await notify('jobs', 'new')
    expect((await fresh.next()).payload).toBe('new')
    // The session is the same one.
    expect(await listeners()).toEqual([pid])
  }
})

test('with fake timers', async () => {
  vi.useFakeTimers()
  try {
    const sent = await db.waitForNotification('jobs', { act: () => notify('jobs', 'x') })
    expect(sent.payload).toBe('x')
    const error = await errorOf(db.waitForNotification('jobs', { timeoutMs: 50 }))
    expect(error.code).toBe('TESTDB_NOTIFICATION_TIMEOUT')
  } finally {
    vi.useRealTimers()
  }
})

test('a session that is ended comes back, is told once, and says what may be missing', async () => {
  using recovered = collect('connection.recovered')
  const [jobs, mails] = [await db.listen('jobs'), await db.listen('mails')]
  const [pid] = await listeners()
  const waiting = jobs.next({ timeoutMs: 20_000 })
  await world.session.query('select pg_terminate_backend($1)', [pid])
  await eventually('it is back', () => recovered.events.length > 0)
  await notify('jobs', 'after')
  expect(await waiting).toMatchObject({ payload: 'after', afterGap: true })
  await notify('jobs', 'later')
  expect(await jobs.next()).toMatchObject({ payload: 'later', afterGap: false })
  expect(recovered.events).toEqual([
    {
      what: `the session that listens on ${db.name}`,
      cause: 'terminating connection due to administrator command',
      downMs: expect.any(Number),
    },
  ])
  expect([jobs.gaps.length, mails.gaps.length]).toEqual([1, 1])
  const error = await errorOf(mails.next({ timeoutMs: 50 }))
  expect(error.message).toMatch(/nobody listened for \d+ ms, because the session was lost \(terminating connection/)
  const [next] = await listeners()
  expect(next).not.toBe(pid)
  // Without subscriptions nobody misses it.
  await db.reset()
  await world.session.query('select pg_terminate_backend($1)', [next])
  await eventually('it is gone', async () => (await listeners()).length === 0)
  await within('the next', db.waitForNotification('jobs', { act: () => notify('jobs') }))
  expect(recovered.events).toHaveLength(1)
})

test('a listening session is no reason to keep a database whose schema was changed', async () => {
  using warnings = collect('warning.raised')
  using recovered = collect('connection.recovered')
  await db.query('select 1')
  await db.closePools()
  await app.close()
  const jobs = await db.listen('jobs')
  const changer = await world.connect(db.name, 'role')
  await changer.query('alter table items add column colour text')
  await changer.close()
  await eventually('it is gone', async () => (await listeners()).length === 1)
  await eventually('only the listener is left', async () => {
    const { rows } = await world.session.query(
      `select from pg_stat_activity where datname = $1 and application_name = 'test'`,
      [db.name],
    )
    return rows.length === 0
  })
  await db.reset()
  expect([warnings.events, recovered.events, jobs.gaps]).toEqual([[], [], []])
  expect((await db.query('select * from items')).rows).toEqual([])
  app = await world.connect(db.name, 'role')
  expect((await db.waitForNotification('jobs', { act: () => notify('jobs', 'fresh') })).payload).toBe('fresh')
})

test('reset "rollback": what is never committed is explained', async () => {
  const rolling = await world.template({ reset: 'rollback' }, run)
  const context = world.context(run, rolling, { reset: 'rollback' })
  await using own = new WorkerDatabase(context, await world.acquire(context), '2')
  const error = await errorOf(
    own.waitForNotification('jobs', { timeoutMs: 100, act: () => own.query(`select pg_notify('jobs', 'x')`) }),
  )
  expect(error.message).toMatch(/\(testdb:.*\) is in a transaction that is not committed/)
  expect(error.message).toContain("With `reset: 'rollback'` what goes through `db.pool`")
})

test.each([
  [{ timeoutMs: Number.POSITIVE_INFINITY }, 'timeoutMs: expected an integer from 1 to 86400000 (ms), got Infinity'],
  [{ timeoutMs: 0 }, 'timeoutMs: expected an integer from 1 to 86400000 (ms), got 0'],
  [{ act: 5 }, 'act: expected a function, got a value of type number'],
  [{ where: 'x' }, 'where: expected a function, got a value of type string'],
])('wrong options are refused before anything happens: %o', async (options, what) => {
  const error = await errorOf(db.waitForNotification('jobs', options as never))
  expect(error).toMatchObject({ code: 'TESTDB_CONFIG_INVALID', what })
})

test('a channel with a zero byte is refused', async () => {
  expect(await errorOf(db.listen('a\0b'))).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
})
