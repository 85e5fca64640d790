/** A run dies, or loses its connection, before it leads; and a follower while it waits (docs/design/crash-table.md). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ways } from '../helpers/effort.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { eventually, within } from '../helpers/wait.ts'
import { spawnActor } from './actors.ts'
import { Place } from './place.ts'
import { HOW, NEXT_RUN_MS, playRow, type Row, type Stage } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

const starts = { blocks: false, cut: ['TESTDB_SERVER_LOST'], attempts: 1 } as const
const RUN: readonly Row[] = [
  { step: 'run.connected', left: 'no registry', ...starts },
  { step: 'run.registered', left: 'no template', ...starts },
  { step: 'run.reserved', left: 'no template', ...starts },
  { step: 'run.usesTemplate', left: 'missing, no database', ...starts },
]

describe.each(RUN)('a run at $step', (row) => {
  test.each(ways(HOW))('%s', (how) => playRow(stage, row, how))
})

describe('a follower at build.waiting', () => {
  test.each(ways(['SIGKILL', 'SIGTERM', 'cut'] as const))('%s', async (how) => {
    await using place = await Place.create(stage.server)
    await using leading = await stopAt('build.migrating')
    await using leader = spawnActor(place, undefined, leading.env)
    await leading.reached()
    const leaders = await place.backends()
    await using waiting = await stopAt('build.waiting')
    await using follower = spawnActor(place, { handleSigterm: how === 'SIGTERM' }, waiting.env)
    expect(await waiting.reached()).toBe(follower.pid)

    if (how === 'cut') await place.cut((await place.backends()).filter((pid) => !leaders.includes(pid)))
    else follower.kill(how)
    if (how !== 'SIGKILL') await waiting.resume()
    const { stderr, ...ending } = await follower.ended()
    const expected = {
      SIGKILL: { code: null, signal: 'SIGKILL', said: [] },
      SIGTERM: { code: 143, signal: null, said: [] },
      cut: { code: 1, signal: null, said: ['TESTDB_SERVER_LOST'] },
    }
    expect(ending, stderr).toEqual(expected[how])
    await eventually('it held nothing', async () => (await place.backends()).join() === leaders.join())

    await leading.resume()
    expect(await leader.ended()).toMatchObject({ code: 0, said: ['started', 'closed'] })
    const run = await within('the next run', place.run(), NEXT_RUN_MS)
    const name = run.context.template?.name ?? ''
    await run.close()
    expect(await place.rows('select attempt from testdb.templates')).toEqual([{ attempt: 1 }])
    expect(await place.content(name)).toEqual(stage.undisturbed)
    await place.expectClean(name)
  })
})
