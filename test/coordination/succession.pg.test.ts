import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTemplate } from '../../src/coordination/index.ts'
import { LOCK_SPACE } from '../../src/postgres/index.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { uniqueHash, World } from '../helpers/world.ts'

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

test('a migration whose connection is cut fails its leader, and not those who wait: the next one leads', async () => {
  const hash = uniqueHash()
  const [unlucky, follower] = [await world.run(), await world.run()]
  const first = errorOf(world.template({ hash, sql: 'select pg_sleep(60)' }, unlucky))
  const migration = await eventually('the migration runs', async () => {
    const { rows } = await world.session.query<{ pid: number }>(
      `select a.pid from pg_stat_activity a join testdb.templates t on t.staging = a.datname where a.query ~ 'pg_sleep\\(60\\)'`,
    )
    return rows[0]?.pid
  })
  const { id } = await world.register(world.session, hash)
  using waiting = collect('leader.waiting')
  const second = world.template({ hash }, follower)
  await eventually('the follower waits', () => waiting.events.length > 0)

  await world.session.query('select pg_terminate_backend($1)', [migration])

  expect(await within('the leader gives up', first)).toMatchObject({ code: 'TESTDB_MIGRATION_FAILED' })
  await within('the follower builds', second)
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'sealed', attempt: 2, staging: null })
  await unlucky.end()
  await follower.end()
})

test('of all who wait one is the next leader; when it dies another one is, and when the leader dies it leads', async () => {
  const hash = uniqueHash()
  const [leader, ...followers] = await Promise.all(Array.from({ length: 5 }, () => world.run()))
  if (!leader) throw new Error('bug: five runs')
  const { id } = await world.register(world.session, hash)
  const first = errorOf(world.template({ hash, sql: 'select pg_sleep(60)' }, leader))
  const holder = async (space: 'build' | 'next'): Promise<number | undefined> => {
    const { rows } = await world.session.query<{ pid: number }>(
      `select pid from pg_locks where locktype = 'advisory' and classid = $1 and objid = $2 and granted
          and database = (select oid from pg_database where datname = current_database())`,
      [LOCK_SPACE[space], id],
    )
    expect(rows.length).toBeLessThanOrEqual(1)
    return rows[0]?.pid
  }
  await eventually('somebody leads', () => holder('build'))
  const waiting = followers.map((run) => world.template({ hash }, run).catch((error: Error) => error))
  const next = await eventually('one of them is next', () => holder('next'))
  expect(next).not.toBe(leader.session.backendPid)

  await world.session.query('select pg_terminate_backend($1)', [next])
  const second = await eventually('another one is next', async () => {
    const pid = await holder('next')
    return pid !== next && pid
  })
  using elected = collect('leader.elected')
  await world.session.query('select pg_terminate_backend($1)', [leader.session.backendPid])

  expect(await within('the leader gives up', first)).toMatchObject({ code: 'TESTDB_LEADERSHIP_LOST' })
  const ends = await within('all others end', Promise.all(waiting))
  expect(ends.filter((end) => end instanceof Error)).toEqual([expect.objectContaining({ code: 'TESTDB_SERVER_LOST' })])
  expect(elected.events).toEqual([expect.objectContaining({ takeover: true })])
  expect(followers.map((run) => run.session.backendPid)).toContain(second)
  expect(await holder('next')).toBeUndefined()
  for (const run of [leader, ...followers]) await run.end()
})
