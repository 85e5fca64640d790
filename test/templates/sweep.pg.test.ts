import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  beginAttempt,
  forgetDeadRuns,
  leadOrFollow,
  liveRuns,
  noteSealed,
  readTemplate,
  registerTemplate,
  useTemplate,
} from '../../src/coordination/index.ts'
import { acquireFresh } from '../../src/databases/fresh.ts'
import { createDatabase, databaseExists, ident, removeDatabase, tryLock, unlock } from '../../src/postgres/index.ts'
import { buildTemplate, templateName } from '../../src/templates/build.ts'
import { previewSweep, type Retention, sweep } from '../../src/templates/sweep.ts'
import { spawnActor } from '../helpers/actor.ts'
import { isShort } from '../helpers/effort.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { type TestRun, uniqueHash, World } from '../helpers/world.ts'

const NOTHING: Retention = { perProject: 0, days: 14 }
const EVERYTHING: Retention = { perProject: 100, days: 14 }

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

const age = (id: number, days: number): Promise<unknown> =>
  world.session.query('update testdb.templates set last_used = now() - make_interval(days => $2) where id = $1', [
    id,
    days,
  ])

test('a template that nobody uses goes with its databases, and comes back when it is wanted', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  const lease = await world.acquire(world.context(run, template))
  await lease.release()
  await run.end()
  using pruned = collect('database.pruned')
  expect(await sweep(world.session, { retention: NOTHING })).toEqual({ dropped: [lease.name, template.name] })
  expect(pruned.events.map((event) => event.database)).toEqual([lease.name, template.name])
  expect(await world.databases()).toEqual([])
  expect((await world.session.query('select from testdb.databases')).rowCount).toBe(0)
  expect(await readTemplate(world.session, template.id)).toMatchObject({ state: 'missing' })
  await world.template({ hash: template.hash })
  expect(await readTemplate(world.session, template.id)).toMatchObject({ state: 'sealed', attempt: 2 })
})

test('the latest of each project stay, unless they are too old', async () => {
  const templates = [await world.template(), await world.template(), await world.template()]
  for (const [i, { id }] of templates.entries()) await age(id, 3 - i)
  const [oldest, middle, latest] = templates.map((one) => one.name)
  expect((await sweep(world.session, { retention: { perProject: 2, days: 14 } })).dropped).toEqual([oldest])
  await world.session.query('update testdb.templates set project = $1 where name = $2', ['other', middle])
  expect((await sweep(world.session, { retention: { perProject: 0, days: 14 }, project: 'other' })).dropped).toEqual([
    middle,
  ])
  await age(templates[2]?.id ?? 0, 15)
  expect((await sweep(world.session, { retention: EVERYTHING })).dropped).toEqual([latest])
})

test('a template with a live run stays, and goes when the run is over', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  await age(template.id, 100)
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([])
  await run.end()
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([template.name])
})

test('a run that is killed holds nothing any more', async () => {
  const template = await world.template()
  const actor = spawnActor('run', { admin: world.admin, project: world.project, templateId: template.id })
  expect(await actor.said('running')).toBe('sealed')
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([])
  expect(await liveRuns(world.session)).toMatchObject([
    { pid: actor.process.pid, templateId: template.id, runner: 'actor' },
  ])
  await actor.kill()
  await eventually('its run is over', async () => (await liveRuns(world.session)).length === 0)
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([template.name])
  expect((await world.session.query('select from testdb.runs')).rowCount).toBe(0)
})

test('a template with a leased database stays', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  const lease = await world.acquire(world.context(run, template))
  await run.end()
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([])
  expect(lease.session.lost.aborted).toBe(false)
  await lease.release()
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([lease.name, template.name])
})

test('a template that is being built stays, with its staging database', async () => {
  const { id, hash } = await world.register()
  const leader = await world.open()
  await tryLock(leader, 'build', id)
  const staging = `testdb_s_${world.project}`
  await beginAttempt(leader, id, staging)
  await createDatabase(leader, staging, { template: 'template0', owner: 'testdb' })
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([])
  await leader.close()
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([staging])
  expect(await readTemplate(world.session, id)).toMatchObject({ staging: null, hash })
})

test('a staging database that has become another attempt meanwhile is left alone', async () => {
  const { id } = await world.register()
  const staging = `testdb_s_${world.project}`
  await beginAttempt(world.session, id, staging)
  await createDatabase(world.session, staging, { template: 'template0', owner: 'testdb' })
  expect((await sweep(world.session, { retention: EVERYTHING })).dropped).toEqual([staging])
  expect((await sweep(world.session, { retention: EVERYTHING })).dropped).toEqual([])
})

test('a sweep that fails leaves no lock behind that looks like a leader', async () => {
  const template = await world.template()
  // Something in the way: its sweep is refused the update that takes it out of use.
  await world.session.query(`create function testdb.refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
    create trigger refuse before update on testdb.templates for each row when (new.state = 'missing') execute function testdb.refuse()`)
  const sweeper = await world.open()
  expect((await errorOf(sweep(sweeper, { retention: NOTHING }))).message).toContain('refused')
  const other = await world.open()
  expect(await tryLock(other, 'build', template.id)).toBe(true)
  await unlock(other, 'build', template.id)
})

test('strays on a database do not keep it', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  const lease = await world.acquire(world.context(run, template))
  await lease.release()
  await run.end()
  const stray = await world.connect(lease.name)
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([lease.name, template.name])
  await eventually('it is ended', () => stray.lost.aborted)
})

test('a registry of dead runs is emptied, of live ones not', async () => {
  const [alive, dead] = [await world.run(), await world.run()]
  await dead.session.close()
  await forgetDeadRuns(world.session)
  expect((await liveRuns(world.session)).map((run) => run.id)).toEqual([alive.id])
  expect((await world.session.query('select id from testdb.runs')).rows).toEqual([{ id: alive.id }])
  await alive.end()
})

test('a run that starts while a sweep takes its template away always ends with a template', async () => {
  const ROUNDS = isShort ? 40 : 150
  const hash = uniqueHash()
  const { id } = await world.register(world.session, hash)
  const name = templateName(hash, world.session.target.database)
  const plan = await world.plan({ sql: 'select 1', reset: 'none' })
  const starter = await world.open()
  const sweeper = await world.open()
  let swept = 0
  let reused = 0
  for (let round = 0; round < ROUNDS; round++) {
    const run: TestRun = await world.run()
    /** Turns of the event loop: both sides' statements meet in another order each time. */
    const turns = async (): Promise<void> => {
      for (let n = Math.floor(Math.random() * 6); n > 0; n--) await world.session.query('select 1')
    }
    const start = async (): Promise<void> => {
      await turns()
      const row = await registerTemplate(run.session, { hash, project: world.project, summary: 'test', name })
      await turns()
      await useTemplate(run.session, run.id, row.id)
      let built = false
      const election = {
        session: run.session,
        templateId: row.id,
        label: name,
        acceptEarlier: true,
        waitTimeoutMs: 30_000,
        recheckMs: 5,
      }
      await leadOrFollow({
        ...election,
        lead: async (found) => {
          built = true
          await buildTemplate(run.session, found, plan)
        },
      })
      if (!built) reused += 1
    }
    const clean = async (): Promise<void> => {
      await turns()
      swept += (await sweep(sweeper, { retention: NOTHING })).dropped.length
    }
    await within(`round ${round}`, Promise.all([start(), clean()]), 30_000)
    expect(await readTemplate(starter, id), `round ${round}`).toMatchObject({ state: 'sealed' })
    expect(await databaseExists(starter, name), `round ${round}`).toBe(true)
    await run.end()
  }
  // Both orders have happened, else this proves nothing.
  expect(swept).toBeGreaterThan(0)
  expect(reused).toBeGreaterThan(0)
})

test('an adopted template is one that the sweep can find again', async () => {
  const hash = uniqueHash()
  const template = await world.template({ hash })
  await world.session.query('delete from testdb.templates where id = $1', [template.id])
  const again = await world.template({ hash })
  expect((await sweep(world.session, { retention: NOTHING })).dropped).toEqual([again.name])
})

test('what says sealed without a database is dealt with as well', async () => {
  const { id, name } = await world.template()
  await removeDatabase(world.session, name)
  await noteSealed(world.session, id, { name, applied: 0, buildMs: 0 })
  await sweep(world.session, { retention: NOTHING })
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'missing' })
  expect(await databaseExists(world.session, ident(name))).toBe(false)
})

test('idle databases beyond what anybody takes go after an hour, the ones used last stay, a leased one is left alone', async () => {
  const run = await world.run()
  const context = world.context(run, await world.template({}, run))
  const leases = []
  for (let i = 0; i < 11; i++) leases.push(await world.acquire(context, String(i)))
  const [leased, ...rest] = leases
  for (const lease of rest) await lease.release()
  expect(await sweep(world.session, { retention: EVERYTHING })).toEqual({ dropped: [] })

  const names = leases.map((lease) => lease.name)
  await world.session.query(
    `update testdb.databases set last_used = now() - interval '2 hours' + array_position($1::text[], name) * interval '1 minute'`,
    [names],
  )
  // As long as the run lives its workers may come back to theirs.
  expect(await sweep(world.session, { retention: EVERYTHING })).toEqual({ dropped: [] })
  await run.end()
  const oldest = names.slice(1, 3)
  expect([...(await previewSweep(world.session, { retention: EVERYTHING })).dropped].sort()).toEqual([...oldest].sort())
  expect([...(await sweep(world.session, { retention: EVERYTHING })).dropped].sort()).toEqual([...oldest].sort())
  const left = await world.databases()
  expect(left).toEqual(expect.arrayContaining(names.filter((name) => !oldest.includes(name))))
  await leased?.reset()
  await leased?.release()
})

test('databases of failed tests go after a day, and when a project has more than ten', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  const context = world.context(run, template, { keepOnFailure: true, scope: 'test' })
  const names: string[] = []
  for (let i = 0; i < 12; i++) {
    const lease = await acquireFresh(context, '1')
    names.push(await lease.keep())
    await lease.release()
  }
  const kept = async (): Promise<string[]> => {
    await sweep(world.session, { retention: EVERYTHING })
    const { rows } = await world.session.query<{ name: string }>(
      `select name from testdb.databases where state = 'kept' order by id`,
    )
    return rows.map(({ name }) => name)
  }
  expect(await kept()).toEqual(names.slice(2))
  await world.session.query(
    `update testdb.databases set last_used = now() - interval '25 hours' where name = any ($1)`,
    [names.slice(2, 5)],
  )
  expect(await kept()).toEqual(names.slice(5))
  await world.session.query(`update testdb.databases set last_used = now() - interval '25 hours'`)
  expect(await kept()).toEqual([])
  await run.end()
})
