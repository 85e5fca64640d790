import { afterEach, beforeEach, expect, test } from 'vitest'
import { leadOrFollow, readTemplate, type TemplateRow } from '../../src/coordination/index.ts'
import { buildTemplate } from '../../src/templates/build.ts'
import { spawnActor } from '../helpers/actor.ts'
import { collect, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

test('a leader is killed while it builds: a follower takes over, and one sealed template is there', async () => {
  const row = await world.register()
  // The server does not notice that its client is gone, as on systems where it can't: the orphan must not hold anybody up.
  const sql = 'set client_connection_check_interval = 0; select pg_sleep(600)'
  const actor = spawnActor('build', { admin: world.admin, templateId: row.id, sql })
  const { database, backend } = await actor.said<{ database: string; backend: number }>('building')
  await eventually('the statement runs', async () => {
    const { rowCount } = await world.session.query(
      `select from pg_stat_activity where pid = $1 and query like '%pg_sleep(600)%' and state = 'active'`,
      [backend],
    )
    return rowCount === 1
  })
  expect(await readTemplate(world.session, row.id)).toMatchObject({
    state: 'building',
    staging: database,
    leaderPid: actor.process.pid,
    step: { name: '001_slow.sql', index: 1, total: 2 },
  })

  using waiting = collect('leader.waiting')
  using elected = collect('leader.elected')
  const session = await world.open()
  const plan = await world.plan({})
  const following = leadOrFollow({
    ...{ session, templateId: row.id, label: 'test', acceptEarlier: true, waitTimeoutMs: 60_000 },
    lead: (found: TemplateRow) => buildTemplate(session, found, plan),
  })
  await eventually('it waits', () => waiting.events.length > 0)
  expect(waiting.events[0]?.leader?.pid).toBe(actor.process.pid)

  await actor.kill()
  const killedAt = performance.now()
  await eventually('the follower leads', () => elected.events.length > 0)
  expect(performance.now() - killedAt).toBeLessThan(2_000)
  expect(elected.events[0]).toMatchObject({ takeover: true })
  const sealed = await within('it is built', following)
  expect(sealed).toMatchObject({ state: 'sealed', attempt: 2, staging: null, leaderPid: process.pid })

  expect(await world.databases()).toEqual([row.name])
  const { rows } = await world.session.query('select datname from pg_database where datname = $1', [database])
  expect(rows).toEqual([])
  const orphans = await world.session.query('select from pg_stat_activity where pid = $1', [backend])
  expect(orphans.rowCount).toBe(0)
})

test('a leader is killed before its first migration: the next one just builds', async () => {
  const row = await world.register()
  const actor = spawnActor('build', { admin: world.admin, templateId: row.id, sql: 'select pg_sleep(600)' })
  await actor.said('building')
  await actor.kill()
  await within('it is built', world.template({ hash: row.hash }))
  expect(await readTemplate(world.session, row.id)).toMatchObject({ state: 'sealed', attempt: 2 })
  expect(await world.databases()).toEqual([row.name])
})
