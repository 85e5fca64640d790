/** What is seen of a server by looking: on a session of somebody who must not notice. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Events, subscribe } from '../../src/events.ts'
import { Session } from '../../src/postgres/index.ts'
import { countStatements, startSampling } from '../../src/report/sampler.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { eventually } from '../helpers/wait.ts'

let server: PrivatePostgres
beforeAll(async () => {
  server = await startPrivatePostgres({
    maxConnections: 20,
    settings: { shared_preload_libraries: 'pg_stat_statements' },
  })
})
afterAll(async () => await server?.stop())

const open = (applicationName: string): Promise<Session> => Session.open(server.admin, { applicationName })

test('sessions by database, slow statements without passwords, and nothing while a transaction is open', async () => {
  const seen: Events['connections.sampled'][] = []
  const end = subscribe('connections.sampled', (sample) => seen.push(sample))
  const session = await open('testdb coordination')
  await session.query('create extension pg_stat_statements')
  await using busy = await open('busy')
  startSampling(session)
  await eventually('a look', () => seen.length > 0)
  expect(seen.at(-1)).toMatchObject({
    limit: 17,
    total: 2,
    databases: [{ name: 'postgres', connections: 2, limit: -1 }],
    slow: [],
  })

  const sleeping = busy.query('select pg_sleep(1)')
  const slow = await eventually('the statement', () => seen.at(-1)?.slow[0])
  expect(slow).toMatchObject({ query: 'select pg_sleep(?)', database: 'postgres', applicationName: 'busy' })
  expect(slow.elapsedMs).toBeGreaterThanOrEqual(200)
  await sleeping
  const secret = busy.query("select pg_sleep(1) /* password 'geheim' */")
  expect(await eventually('the other one', () => seen.at(-1)?.slow.find(({ query }) => query === ''))).toBeDefined()
  await secret
  expect(JSON.stringify(seen)).not.toContain('geheim')

  // A transaction that has failed, which any statement of ours would be refused in, and told of.
  await session.query('begin')
  await session.query('select 1/0').catch(() => undefined)
  expect(await session.look('select 1')).toBeUndefined()
  await session.query('rollback')
  expect(await session.look('select 1 as one')).toEqual([{ one: 1 }])

  await busy.query("select repeat('a', 3) as answer")
  await busy.query("select repeat('b', 4) as answer")
  const counted: Events['statements.counted'][] = []
  const endCounts = subscribe('statements.counted', (counts) => counted.push(counts))
  await countStatements(session)
  const mine = counted
    .flatMap(({ statements }) => statements)
    .find(({ query }) => query === 'select repeat($1, $2) as answer')
  expect(mine).toMatchObject({ calls: 2, database: 'postgres' })
  expect(JSON.stringify(counted)).not.toContain('geheim')

  // Ends in the middle of a look as well as between two.
  await session.close()
  const looks = seen.length
  await busy.query('select pg_sleep(0.6)')
  expect(seen.length).toBe(looks)
  end()
  endCounts()
})
