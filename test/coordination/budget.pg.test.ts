import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  beginRun,
  endRun,
  type Reservation,
  type ReservationRequest,
  readConnectionFacts,
  reserveConnections,
} from '../../src/coordination/index.ts'
import type { Session } from '../../src/postgres/index.ts'
import { spawnActor } from '../helpers/actor.ts'
import { startPrivatePostgres } from '../helpers/private-postgres.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

/** What the runs of these tests divide among themselves; the server has far more. */
const CONNECTIONS = 100

/** A run that wants that many connections of the hundred. */
class Wanting {
  readonly id: number
  readonly session: Session
  reservation: Promise<Reservation> | undefined

  constructor(id: number, session: Session) {
    this.id = id
    this.session = session
  }

  static async begin(): Promise<Wanting> {
    const session = await world.open()
    return new Wanting(await beginRun(session, { project: world.project, runner: 'test' }), session)
  }

  reserve(connections: number, options: Partial<ReservationRequest> = {}): Promise<Reservation> {
    const wanted = { slots: 1, poolMax: 1, connectionLimit: 2, connections }
    this.reservation = reserveConnections(this.session, {
      runId: this.id,
      decide: (_facts, others) => (connections <= CONNECTIONS - taken(others) ? wanted : undefined),
      describe: ({ others }) => ({ needed: connections, free: CONNECTIONS - taken(others) }),
      exhausted: ({ others }) => new Error(`${connections} of ${CONNECTIONS - taken(others)}`),
      waitTimeoutMs: 60_000,
      ...options,
    })
    return this.reservation
  }

  async end(): Promise<void> {
    await endRun(this.session, this.id)
    await this.session.close()
  }
}

const taken = (others: readonly { connections: number }[]): number =>
  others.reduce((sum, { connections }) => sum + connections, 0)

async function waiting(): Promise<number[]> {
  const { rows } = await world.session.query<{ id: number }>(
    'select id from testdb.runs where waiting_since is not null order by waiting_since, id',
  )
  return rows.map(({ id }) => id)
}
const waits = (run: Wanting): Promise<unknown> =>
  eventually(`run ${run.id} waits`, async () => (await waiting()).includes(run.id))

test('of twenty runs that start at the same moment never more have a part than fit, and all get their turn', async () => {
  const runs = await Promise.all(Array.from({ length: 20 }, () => Wanting.begin()))
  let atOnce = 0
  let most = 0
  await Promise.all(
    runs.map(async (run) => {
      // Nineteen that wait have their own session.
      await run.reserve(26)
      most = Math.max(most, ++atOnce)
      const { rows } = await world.session.query<{ sum: number }>(
        'select sum(connections)::int as sum from testdb.runs',
      )
      expect(rows[0]?.sum).toBeLessThanOrEqual(CONNECTIONS)
      atOnce--
      await run.end()
    }),
  )
  expect(most).toBeGreaterThanOrEqual(1)
  expect(most).toBeLessThanOrEqual(3)
})

test('who came first is served first, even when a later one would fit', async () => {
  const [holder, big, small] = [await Wanting.begin(), await Wanting.begin(), await Wanting.begin()]
  await holder.reserve(60)
  const order: string[] = []
  const bigHas = big.reserve(70).then(() => order.push('big'))
  await waits(big)
  const smallHas = small.reserve(5).then(() => order.push('small'))
  await waits(small)
  await holder.end()
  await Promise.all([bigHas, smallHas])
  expect(order).toEqual(['big', 'small'])
  await Promise.all([big.end(), small.end()])
})

test('the end of a run wakes the next one at once', async () => {
  const [holder, next] = [await Wanting.begin(), await Wanting.begin()]
  await holder.reserve(90)
  const has = next.reserve(90)
  await waits(next)
  const woken = collect('budget.reserved')
  await holder.end()
  await has
  expect(woken.events).toHaveLength(1)
  woken[Symbol.dispose]()
  await next.end()
})

test('the part of a run that was killed is free, and so is its place in the queue', async () => {
  const template = await world.register()
  const actor = spawnActor('run', { admin: world.admin, project: world.project, templateId: template.id })
  await actor.said('running')
  const dead = 'update testdb.runs set connections = 90, waiting_since = now() where runner = $1'
  await world.session.query(dead, ['actor'])
  const next = await Wanting.begin()
  const has = next.reserve(50)
  await waits(next)
  await actor.kill()
  expect(await within('it is its turn', has)).toMatchObject({ connections: 50 })
  await next.end()
})

test('people who wait are told what is needed, what is free and who has the rest', async () => {
  const [holder, next] = [await Wanting.begin(), await Wanting.begin()]
  await holder.reserve(90)
  using told = collect('budget.waiting')
  const has = next.reserve(50)
  await eventually('it is told', () => told.events.length > 0)
  expect(told.events[0]).toMatchObject({ needed: 50, free: 10 })
  expect(told.events[0]?.holders).toEqual([
    expect.stringMatching(
      new RegExp(`^run #${holder.id} \\(test in ${world.project}, pid ${process.pid} on .*\\): 90 connections$`),
    ),
  ])
  await holder.end()
  await has
  await next.end()
})

test('what can never fit fails at once, what takes too long after its time, and who may not wait does not', async () => {
  const [holder, next] = [await Wanting.begin(), await Wanting.begin()]
  await holder.reserve(90)
  expect((await errorOf(next.reserve(101))).message).toBe('101 of 10')
  expect((await errorOf(next.reserve(50, { waitTimeoutMs: 1 }))).message).toBe('50 of 10')
  expect((await errorOf(next.reserve(50, { waitTimeoutMs: 0 }))).message).toBe('50 of 10')
  // Nobody has to wait behind who has given up.
  const third = await Wanting.begin()
  await within('it does not wait', third.reserve(5), 5_000)
  await Promise.all([holder.end(), next.end(), third.end()])
})

test('people that testdb does not know are counted; its own sessions and those on its databases are not', async () => {
  // Sessions of other tests come and go on the server of all.
  const server = await startPrivatePostgres({ maxConnections: 77 })
  try {
    await using own = await World.create(server.admin)
    const run = await own.run()
    const template = await own.template({}, run)
    // The one of this test itself, which has no name of testdb's.
    const before = { maxConnections: 77, reserved: 3, foreign: 2 }
    expect(await readConnectionFacts(own.session)).toEqual(before)
    const lease = await own.acquire(own.context(run, template))
    const client = await own.connect(lease.name, 'role')
    const ours = await own.open('testdb coordination')
    expect(await readConnectionFacts(own.session)).toEqual(before)
    const stranger = await own.open('somebody')
    expect(await readConnectionFacts(own.session)).toEqual({ ...before, foreign: 3 })
    for (const session of [stranger, ours, client]) await session.close()
    await run.end()
  } finally {
    await server.stop()
  }
})
