/** The server goes away under runs, or a process stands still (docs/design/crash-table.md). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acquireDatabase } from '../../src/acquire.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { spawnActor } from './actors.ts'
import { Place } from './place.ts'
import { crash, type Restarted, restart } from './restart.ts'
import { NEXT_RUN_MS, type Stage } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
let restarted: Restarted | undefined
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(async () => {
  await restarted?.[Symbol.asyncDispose]()
  await stage?.[Symbol.asyncDispose]()
})

const again =
  (signal: 'SIGINT' | 'SIGQUIT') =>
  async (place: Place): Promise<void> => {
    const before = restarted
    restarted = await restart(place, signal)
    await before?.[Symbol.asyncDispose]()
  }

const OUTAGES: readonly [what: string, happens: (place: Place) => Promise<void>][] = [
  ['the server is restarted', again('SIGINT')],
  ['the server is ended as by a power cut, and started again', again('SIGQUIT')],
  ['the server recovers from the crash of a backend', crash],
]

describe.each(OUTAGES)('%s', (_what, happens) => {
  test('while a leader migrates and a follower waits: each has one clear error, and the next run works', async () => {
    await using place = await Place.create(stage.server)
    await using stop = await stopAt('build.migrating', { skip: 1 })
    await using leader = spawnActor(place, undefined, stop.env)
    await stop.reached()
    using waiting = collect('leader.waiting')
    const following = errorOf(place.run())
    await eventually('it waits', () => waiting.events.length > 0)
    await happens(place)
    expect(await within('the follower ends', following)).toMatchObject({ code: 'TESTDB_SERVER_LOST' })
    await stop.resume()
    expect(await leader.ended()).toMatchObject({ code: 1, said: ['TESTDB_LEADERSHIP_LOST'] })

    const run = await within('the next run', place.run(), NEXT_RUN_MS)
    const name = run.context.template?.name ?? ''
    await run.close()
    expect(await place.content(name)).toEqual(stage.undisturbed)
    await place.expectClean(name)
  })
})

test('the server crashes after the seal: the template has lost its unlogged rows, and workers get them all the same', async () => {
  await using place = await Place.create(stage.server)
  await (await place.run()).close()
  // What is not written yet would be lost too, and that is another matter.
  await place.rows('checkpoint')
  await crash(place)
  const run = await within('the next run', place.run(), NEXT_RUN_MS)
  const name = run.context.template?.name ?? ''
  // Without this the server would not have crashed, and the rest would prove nothing.
  expect((await place.content(name)).tables['"public"."visits"']).toEqual([])
  const database = await acquireDatabase(run.context, { slot: '1' })
  const { rows } = await database.query(
    'select (select count(*)::int from users) as users, count(*)::int as visits from visits',
  )
  expect(rows).toEqual([{ users: 20, visits: 10 }])
  await database.release()
  await run.close()
  await place.expectClean(name)
})

test('a leader stands still for longer than any check: it stays the leader, and seals when it goes on', async () => {
  await using place = await Place.create(stage.server)
  await using stop = await stopAt('build.migrating')
  await using leader = spawnActor(place, undefined, stop.env)
  await stop.reached()
  process.kill(leader.pid, 'SIGSTOP')
  try {
    using waiting = collect('leader.waiting')
    using elected = collect('leader.elected')
    const following = place.run()
    // Each look is a quarter of a second after the last one; the server looks at its clients as often.
    await eventually('the follower has looked ten times', () => waiting.events.length >= 10)
    expect(elected.events).toEqual([])
    process.kill(leader.pid, 'SIGCONT')
    await stop.resume()
    const run = await within('the follower gets the template', following)
    expect(elected.events).toEqual([])
    expect(await leader.ended()).toMatchObject({ code: 0, said: ['started', 'closed'] })
    await run.close()
    const name = run.context.template?.name ?? ''
    expect(await place.rows('select attempt from testdb.templates')).toEqual([{ attempt: 1 }])
    expect(await place.content(name)).toEqual(stage.undisturbed)
    await place.expectClean(name)
  } finally {
    leader.kill('SIGCONT')
  }
})
