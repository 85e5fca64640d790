/** A run that waits for its part of the server's connections dies, or loses its connection (docs/design/crash-table.md). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { beginRun, endRun } from '../../src/coordination/index.ts'
import { Session } from '../../src/postgres/index.ts'
import { ways } from '../helpers/effort.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { eventually, within } from '../helpers/wait.ts'
import { spawnActor } from './actors.ts'
import { Place } from './place.ts'
import { NEXT_RUN_MS, type Stage } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

describe('a run at run.waitsForConnections', () => {
  test.each(ways(['SIGKILL', 'SIGTERM', 'cut'] as const))('%s', async (how) => {
    await using place = await Place.create(stage.server)
    // Its registry.
    await (await place.run()).close()
    const holder = await Session.open(place.admin, { applicationName: 'testdb coordination' })
    const runId = await beginRun(holder, { project: 'holder', runner: 'test' })
    await holder.query('update testdb.runs set connections = 100000 where id = $1', [runId])
    const others = await place.backends()

    await using stop = await stopAt('run.waitsForConnections')
    await using victim = spawnActor(place, { handleSigterm: how === 'SIGTERM' }, stop.env)
    expect(await stop.reached()).toBe(victim.pid)
    const sessions = (await place.backends()).filter((pid) => !others.includes(pid))
    const behind = place.run()
    await eventually('the next one waits behind it', async () => (await waitingRuns(place)).length === 2)

    if (how === 'cut') await place.cut(sessions)
    else victim.kill(how)
    if (how !== 'SIGKILL') await stop.resume()
    const { stderr, ...ending } = await victim.ended()
    const expected = {
      SIGKILL: { code: null, signal: 'SIGKILL', said: [] },
      SIGTERM: { code: 143, signal: null, said: [] },
      cut: { code: 1, signal: null, said: ['TESTDB_SERVER_LOST'] },
    }
    expect(ending, stderr).toEqual(expected[how])

    await endRun(holder, runId)
    await holder.close()
    const run = await within('the next run', behind, NEXT_RUN_MS)
    const name = run.context.template?.name ?? ''
    await run.close()
    await place.expectClean(name)
  })
})

const waitingRuns = (place: Place): Promise<unknown[]> =>
  place.rows('select id from testdb.runs where waiting_since is not null')
