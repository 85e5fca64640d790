/** The registry is wrong, incomplete or gone, or says nothing when it should (docs/design/crash-table.md). */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { sweep } from '../../src/templates/sweep.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { collect, eventually, within } from '../helpers/wait.ts'
import { spawnActor } from './actors.ts'
import { Place } from './place.ts'
import { NEXT_RUN_MS, type Stage, TAKEOVER_MS } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

/** A run that nothing disturbs; returns its template's name. */
async function nextRun(place: Place): Promise<string> {
  const run = await within('the next run', place.run(), NEXT_RUN_MS)
  await run.close()
  return run.context.template?.name ?? ''
}

async function expectGood(place: Place, name: string): Promise<void> {
  expect(await place.content(name)).toEqual(stage.undisturbed)
  await place.expectClean(name)
}

test('notifications never arrive: a follower sees the seal at its next look', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.migrating')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  await place.rows('drop trigger notify_state on testdb.templates')
  using waiting = collect('leader.waiting')
  using elected = collect('leader.elected')
  const following = place.run()
  following.catch(() => undefined)
  await eventually('it waits', () => waiting.events.length > 0)
  await stop.resume()
  expect(await leader.ended()).toMatchObject({ code: 0, said: ['started', 'closed'] })
  const run = await within('it sees the seal', following, TAKEOVER_MS)
  expect(elected.events).toEqual([])
  await run.close()
  await expectGood(place, run.context.template?.name ?? '')
})

test('the row of a template is deleted while it is built: the leader says so, and the next run takes what it has sealed', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.seeded')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  await place.rows('delete from testdb.templates')
  await stop.resume()
  expect(await leader.ended()).toMatchObject({ code: 1, said: ['TESTDB_TEMPLATE_BUILD_FAILED'] })
  await expectGood(place, await nextRun(place))
})

test('the row of a template is deleted while it is built, and another run builds it too: one of both is sealed', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.equipped')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  await place.rows('delete from testdb.templates')
  const name = await nextRun(place)
  await stop.resume()
  const { said, stderr } = await leader.ended()
  expect(said, stderr).toEqual(['TESTDB_TEMPLATE_BUILD_FAILED'])
  await expectGood(place, await nextRun(place))
  expect(await nextRun(place)).toBe(name)
})

test('the registry is dropped while a template is built: the leader says so and leaves nothing, and the next run works', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.migrated')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  await place.rows('drop schema testdb cascade')
  await stop.resume()
  expect(await leader.ended()).toMatchObject({ code: 1, said: ['TESTDB_TEMPLATE_BUILD_FAILED'] })
  expect(await place.databases()).toEqual([])
  await expectGood(place, await nextRun(place))
})

test('the registry is dropped between two runs: the next one takes the sealed template again', async () => {
  await using place = await Place.create(stage.server)
  const name = await nextRun(place)
  const before = await place.rows('select oid from pg_database where datname = $1', [name])
  await place.rows('drop schema testdb cascade')
  expect(await nextRun(place)).toBe(name)
  expect(await place.rows('select oid from pg_database where datname = $1', [name])).toEqual(before)
  await expectGood(place, name)
})

test('a row says building and nobody builds: the next run leads at once', async () => {
  await using place = await Place.create(stage.server)
  const name = await nextRun(place)
  await place.rows(`alter database ${name} is_template false`)
  await place.rows(`drop database ${name}`)
  await place.rows(`update testdb.templates set state = 'building', staging = 'testdb_s_gone', leader_pid = $1`, [
    process.pid,
  ])
  using waiting = collect('leader.waiting')
  expect(await nextRun(place)).toBe(name)
  expect(waiting.events).toEqual([])
  await expectGood(place, name)
})

test('a row says sealed under the name of another template: the run gets its own, and the other one stays', async () => {
  await using place = await Place.create(stage.server)
  const own = await nextRun(place)
  place.rehash('other')
  place.project.write({ 'migrations/004_other.sql': 'create table other (n int)' })
  const other = await nextRun(place)
  await place.rows('update testdb.templates set name = $2 where name = $1', [own, other])
  rmSync(join(place.project.root, 'migrations/004_other.sql'))
  place.rehash('first')
  expect(await nextRun(place)).toBe(own)
  expect(await place.content(own)).toEqual(stage.undisturbed)
  expect(await place.databases()).toEqual([own, other].sort())
})

test('two runs with two hashes in flight: neither drops the template of the other', async () => {
  await using place = await Place.create(stage.server)
  const first = await place.run()
  place.rehash('second')
  const second = await place.run()
  await place.rows(`update testdb.templates set last_used = now() - interval '100 days'`)
  expect((await sweep(place.observer, { retention: { perProject: 0, days: 14 } })).dropped).toEqual([])
  await first.close()
  // The second run sweeps by itself too, in the background: either of the two drops it.
  await eventually("the first one's template is gone", async () => {
    await sweep(place.observer, { retention: { perProject: 0, days: 14 } })
    return (await place.rows('select from pg_database where datname = $1', [first.context.template?.name])).length === 0
  })
  await second.close()
  await place.expectClean(second.context.template?.name ?? '')
})

test('the clock steps by a day while a follower waits: it goes on waiting, and gets the template', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.migrating')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  using waiting = collect('leader.waiting')
  const following = place.run()
  following.catch(() => undefined)
  await eventually('it waits', () => waiting.events.length > 0)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 86_400_000 })
  try {
    const looks = waiting.events.length
    await within(
      'it looks again',
      lookedAgain(() => waiting.events.length > looks + 1, following),
    )
  } finally {
    vi.useRealTimers()
  }
  await stop.resume()
  const run = await within('it gets the template', following)
  await run.close()
  expect(await leader.ended()).toMatchObject({ code: 0 })
  await expectGood(place, run.context.template?.name ?? '')
})

/** Waits for a condition without looking at the clock; throws what the follower throws. */
async function lookedAgain(condition: () => boolean, following: Promise<unknown>): Promise<void> {
  const failed = following.then(() => undefined)
  while (!condition()) await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 5))])
}
