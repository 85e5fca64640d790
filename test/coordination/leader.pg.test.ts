import { hostname } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  beginAttempt,
  type Election,
  leadOrFollow,
  noteSealed,
  noteStep,
  readTemplate,
  type TemplateRow,
} from '../../src/coordination/index.ts'
import { TestDbError } from '../../src/errors.ts'
import { type Session, tryLock, unlock } from '../../src/postgres/index.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

/** So long that nothing in a test can be owed to it. */
const NEVER = 600_000

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

/** What a leader does, without a database: these tests are about who does it. */
const build = async (
  session: Session,
  id: number,
  body: () => Promise<void> = async () => undefined,
): Promise<void> => {
  await beginAttempt(session, id, null)
  await body()
  await noteSealed(session, id, { name: null, applied: 0, buildMs: 0 })
}

const elect = (session: Session, templateId: number, more: Partial<Election> = {}): Promise<TemplateRow> =>
  leadOrFollow({
    session,
    templateId,
    label: 'test',
    acceptEarlier: true,
    waitTimeoutMs: 60_000,
    recheckMs: NEVER,
    lead: () => build(session, templateId),
    ...more,
  })

/** A template without a database of its own: then the row alone says that it is sealed. */
async function row(): Promise<number> {
  const { id } = await world.register()
  await world.session.query('update testdb.templates set name = null where id = $1', [id])
  return id
}

const sessions = (count: number): Promise<Session[]> => Promise.all(Array.from({ length: count }, () => world.open()))

/** A build that hangs until it is told how to end. */
function gate(): { readonly opened: Promise<void>; open(): void; fail(error: unknown): void } {
  let open = (): void => undefined
  let fail = (_error: unknown): void => undefined
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  opened.catch(() => undefined)
  return { opened, open: () => open(), fail: (error) => fail(error) }
}

/** Waits until that many processes have looked, found a leader, and wait. */
async function followers(waiting: { readonly events: readonly unknown[] }, count: number): Promise<void> {
  await eventually(`${count} followers wait`, () => waiting.events.length >= count)
}

test('of eight sessions one builds, and NOTIFY wakes the others', async () => {
  const id = await row()
  using waiting = collect('leader.waiting')
  const { opened, open } = gate()
  let builds = 0
  const all = (await sessions(8)).map((session) =>
    elect(session, id, {
      lead: () => {
        builds += 1
        return build(session, id, () => opened)
      },
    }),
  )
  await followers(waiting, 7)
  open()
  // The re-check comes in ten minutes: only the notification can have woken them.
  const rows = await within('everybody has the template', Promise.all(all), 10_000)
  expect(builds).toBe(1)
  expect(new Set(rows.map((one) => `${one.state} ${one.attempt}`))).toEqual(new Set(['sealed 1']))
})

test('a sealed template is seen without a lock', async () => {
  const id = await row()
  const [holder, reader] = await sessions(2)
  if (!holder || !reader) throw new Error('no session')
  await build(holder, id)
  await tryLock(holder, 'build', id)
  const found = await within('it is seen', elect(reader, id, { lead: () => Promise.reject(new Error('leads')) }))
  expect(found.state).toBe('sealed')
})

test('the error of the leader reaches everybody who waited, and nobody who comes later', async () => {
  const id = await row()
  using waiting = collect('leader.waiting')
  using failures = collect('template.failed')
  const { opened, fail } = gate()
  let builds = 0
  const lead = (session: Session) => () => {
    builds += 1
    return build(session, id, () => opened)
  }
  const all = (await sessions(5)).map((session) => errorOf(elect(session, id, { lead: lead(session) })))
  await followers(waiting, 4)
  fail(
    new TestDbError('TESTDB_MIGRATION_FAILED', 'migration 007.sql failed: no such table', {
      fixes: ['Make the table.'],
      details: { migration: '007.sql', position: { line: 3, column: 7 } },
    }),
  )
  const errors = (await within('everybody is told', Promise.all(all), 10_000)) as TestDbError[]
  expect(builds).toBe(1)
  expect(failures.events).toEqual([{ template: 'test', message: 'migration 007.sql failed: no such table' }])
  for (const error of errors) {
    expect(error).toMatchObject({
      code: 'TESTDB_MIGRATION_FAILED',
      what: 'migration 007.sql failed: no such table',
      fixes: ['Make the table.'],
      details: { migration: '007.sql', position: { line: 3, column: 7 } },
    })
  }
  const told = errors.filter((error) => error.details.leader !== undefined)
  expect(told.map((error) => error.details.leader)).toEqual(Array(4).fill(`pid ${process.pid} on ${hostname()}`))
  expect((told[0]!.cause as Error).stack).toContain('migration 007.sql failed')

  // The migration was corrected meanwhile.
  const [later] = await sessions(1)
  if (!later) throw new Error('no session')
  expect(await elect(later, id)).toMatchObject({ state: 'sealed', attempt: 2, error: null })
})

test('an error that is not ours is told as a failed build', async () => {
  const id = await row()
  const [session] = await sessions(1)
  if (!session) throw new Error('no session')
  const error = await errorOf(elect(session, id, { lead: () => Promise.reject(new Error('disk full')) }))
  expect(error).toMatchObject({ code: 'TESTDB_TEMPLATE_BUILD_FAILED', what: 'building test failed: disk full' })
  expect(await readTemplate(session, id)).toMatchObject({
    state: 'failed',
    error: { what: 'building test failed: disk full' },
  })
})

test('a leader whose session is ended says so, seals nothing, and the next one leads', async () => {
  const id = await row()
  const [first, second] = await sessions(2)
  if (!first || !second) throw new Error('no session')
  const lead = () => build(first, id, async () => void (await first.query('select pg_sleep(60)')))
  const error = errorOf(elect(first, id, { lead }))
  await eventually('it builds', async () => (await readTemplate(world.session, id))?.state === 'building')
  const following = elect(second, id, { recheckMs: 50 })
  await world.session.query('select pg_terminate_backend($1)', [first.backendPid])
  expect((await within('it gives up', error)).code).toBe('TESTDB_LEADERSHIP_LOST')
  expect(await within('the other one leads', following)).toMatchObject({ state: 'sealed', attempt: 2 })
})

test('a leader whose session is ended between two statements says so too', async () => {
  const id = await row()
  const [session] = await sessions(1)
  if (!session) throw new Error('no session')
  const lead = () =>
    build(
      session,
      id,
      async () => void (await world.session.query('select pg_terminate_backend($1)', [session.backendPid])),
    )
  expect((await errorOf(elect(session, id, { lead }))).code).toBe('TESTDB_LEADERSHIP_LOST')
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'building', attempt: 1 })
})

test('a leader that can not store its error throws it all the same', async () => {
  const id = await row()
  const [session] = await sessions(1)
  if (!session) throw new Error('no session')
  const lead = async () => {
    await session.query('begin; select 1/0').catch(() => undefined)
    throw new TestDbError('TESTDB_SEED_FAILED', 'mine')
  }
  expect((await errorOf(elect(session, id, { lead }))).code).toBe('TESTDB_SEED_FAILED')
  await session.close()
})

test('a follower that waits too long names the leader and where it is', async () => {
  const id = await row()
  const [leader, follower] = await sessions(2)
  if (!leader || !follower) throw new Error('no session')
  await tryLock(leader, 'build', id)
  await beginAttempt(leader, id, null)
  await noteStep(leader, id, { name: '042_orders.sql', index: 2, total: 9 })
  const error = await errorOf(elect(follower, id, { waitTimeoutMs: 50, recheckMs: 20 }))
  expect(error.code).toBe('TESTDB_WAIT_TIMEOUT')
  expect(error.message).toContain(`pid ${process.pid} on ${hostname()}`)
  expect(error.message).toContain('building test, at migration 2 of 9, 042_orders.sql')
  await unlock(leader, 'build', id)
})

test('who waits hears where the leader is', async () => {
  const id = await row()
  using waiting = collect('leader.waiting')
  const [leader, follower] = await sessions(2)
  if (!leader || !follower) throw new Error('no session')
  await tryLock(leader, 'build', id)
  await beginAttempt(leader, id, null)
  await noteStep(leader, id, { name: 'one', index: 1, total: 2 })
  const following = elect(follower, id, { recheckMs: 20 })
  await eventually('the step is told', () => waiting.events.some((event) => event.step?.name === 'one'))
  await noteStep(leader, id, { name: 'two', index: 2, total: 2 })
  await eventually('the next step is told', () => waiting.events.some((event) => event.step?.name === 'two'))
  await noteSealed(leader, id, { name: null, applied: 2, buildMs: 1 })
  expect((await following).state).toBe('sealed')
})

test('where each run looks for itself, an earlier result does not count', async () => {
  const id = await row()
  let builds = 0
  const shared = (session: Session, body?: () => Promise<void>): Promise<TemplateRow> =>
    elect(session, id, {
      acceptEarlier: false,
      lead: () => {
        builds += 1
        return build(session, id, body)
      },
    })
  const [first, second, third, fourth] = await sessions(4)
  if (!first || !second || !third || !fourth) throw new Error('no session')
  await shared(first)
  await shared(second)
  expect(builds).toBe(2)

  // But who waited for somebody who just did need not do it again.
  using waiting = collect('leader.waiting')
  const { opened, open } = gate()
  const leading = shared(third, () => opened)
  await eventually('it builds', async () => (await readTemplate(world.session, id))?.state === 'building')
  const following = shared(fourth)
  await followers(waiting, 1)
  open()
  await within('both have it', Promise.all([leading, following]), 10_000)
  expect(builds).toBe(3)
})

test('a follower whose session is lost says so', async () => {
  const id = await row()
  using waiting = collect('leader.waiting')
  const [leader, follower] = await sessions(2)
  if (!leader || !follower) throw new Error('no session')
  await tryLock(leader, 'build', id)
  const error = errorOf(elect(follower, id))
  await followers(waiting, 1)
  await world.session.query('select pg_terminate_backend($1)', [follower.backendPid])
  expect((await within('it ends', error)).code).toBe('TESTDB_SERVER_LOST')
})

test('a template that was pruned meanwhile is an error and no endless wait', async () => {
  const id = await row()
  await world.session.query('delete from testdb.templates where id = $1', [id])
  await expect(elect(world.session, id)).rejects.toMatchObject({ code: 'TESTDB_TEMPLATE_BUILD_FAILED' })
})
