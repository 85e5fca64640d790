/** Runs one row of the crash table: a real process is stopped exactly at a step, is killed or cut there, and the next one must succeed. */
import { expect } from 'vitest'
import { subscribe } from '../../src/events.ts'
import type { ConnectionTarget } from '../../src/postgres/index.ts'
import type { Run } from '../../src/run.ts'
import type { Step } from '../../src/steps.ts'
import { type StopPoint, stopAt } from '../helpers/stop-at.ts'
import { eventually, within } from '../helpers/wait.ts'
import { type Actor, spawnActor } from './actors.ts'
import type { Content } from './content.ts'
import { Place } from './place.ts'

/**
 * How the process is stopped: dead at once; told to end, with a handler as the processes of a runner have one, so that it
 * still comes a little further (without one SIGTERM is SIGKILL to everybody else); its sessions are ended, and it goes on
 * before the next process comes; the same, and it goes on after the next process has done everything.
 */
export const HOW = ['SIGKILL', 'SIGTERM', 'cut', 'cut, taken over'] as const
export type How = (typeof HOW)[number]

export interface Row {
  readonly step: Step
  /** That many passes of the step go by. @default 0 */
  readonly skip?: number
  /** What `Place.state` says while the process stands there. */
  readonly left: string
  /** True when others must wait for what this process holds. */
  readonly blocks: boolean
  /** What the process says when its sessions were cut: the code of its error, or that it ended well. */
  readonly cut: readonly string[]
  /** Builds that the template has needed in the end. */
  readonly attempts: number
  readonly prepare?: (place: Place) => Promise<void>
  /** Only sessions of that name are cut; the others go on. @default all */
  readonly only?: string
}

/** A waiting process notices the end of the one it waits for at its next look, 250 ms; machines are loaded. */
export const TAKEOVER_MS = 3_000
/** A whole run, with a template to build; it takes a fifth of a second on a machine that is not loaded. */
export const NEXT_RUN_MS = 10_000

export interface Stage {
  readonly server: ConnectionTarget
  /** The content of a template whose build nobody disturbed. */
  readonly undisturbed: Content
}

export async function playRow(stage: Stage, row: Row, how: How): Promise<void> {
  await using place = await Place.create(stage.server)
  await row.prepare?.(place)
  await using stop = await stopAt(row.step, { skip: row.skip ?? 0 })
  await using victim = spawnActor(place, { handleSigterm: how === 'SIGTERM' }, stop.env)
  expect(await stop.reached()).toBe(victim.pid)
  expect(await place.state()).toBe(row.left)
  const sessions = await place.backends(row.only)

  // A follower that would take over at once would leave nothing to notice for one that is cut and goes on.
  const follower = row.blocks && how !== 'cut' ? await Follower.start(place) : undefined
  const actedAt = performance.now()
  await act(place, victim, stop, how, sessions)
  if (how === 'cut') await expectEnding(victim, row, how)

  const run = follower ? await follower.takesOver(actedAt, how) : await within('the next run', place.run(), NEXT_RUN_MS)
  const name = run.context.template?.name ?? ''
  const before = await oidOf(place, name)
  if (how === 'cut, taken over') await stop.resume()
  if (how !== 'cut') await expectEnding(victim, row, how)
  await run.close()
  // It may have sealed before it ended, and the one that waited may have swept while it still lived: only a run that
  // starts after its end must find nothing of it.
  if (how === 'SIGTERM') await (await within('a run after its end', place.run(), NEXT_RUN_MS)).close()

  expect(await oidOf(place, name), 'the template is the one that the next process has found or built').toEqual(before)
  expect(await place.content(name)).toEqual(stage.undisturbed)
  const [template] = await place.rows<{ attempt: number }>('select attempt from testdb.templates where name = $1', [
    name,
  ])
  // After SIGTERM it depends on how far the process still came.
  if (how !== 'SIGTERM') expect(template?.attempt).toBe(row.attempts)
  await place.expectClean(name)
}

async function act(place: Place, victim: Actor, stop: StopPoint, how: How, sessions: readonly number[]): Promise<void> {
  if (how === 'cut' || how === 'cut, taken over') {
    await place.cut(sessions)
    if (how === 'cut') await stop.resume()
  } else {
    victim.kill(how)
    if (how === 'SIGTERM') await stop.resume()
    await victim.ended()
  }
}

async function expectEnding(victim: Actor, row: Row, how: How): Promise<void> {
  const { stderr, ...ending } = await victim.ended()
  const clean = row.cut.at(-1) === 'closed'
  if (how === 'SIGKILL') expect(ending, stderr).toMatchObject({ code: null, signal: how })
  else if (how === 'SIGTERM') expect(ending, stderr).toMatchObject({ code: 143, signal: null })
  else expect(ending, stderr).toEqual({ code: clean ? 0 : 1, signal: null, said: row.cut })
}

/** Another run, in this process, that waits for the one that stands still. */
class Follower {
  readonly #run: Promise<Run>
  readonly #electedAt: () => number | undefined

  private constructor(run: Promise<Run>, electedAt: () => number | undefined) {
    this.#run = run
    this.#electedAt = electedAt
  }

  static async start(place: Place): Promise<Follower> {
    let waits = false
    let electedAt: number | undefined
    const offWaiting = subscribe('leader.waiting', () => {
      waits = true
    })
    const offElected = subscribe('leader.elected', () => {
      electedAt = performance.now()
    })
    const run = place.run().finally(() => {
      offWaiting()
      offElected()
    })
    // Its failure is told by whoever awaits it.
    run.catch(() => undefined)
    // Who comes while the leader is in the seal's transaction waits for the template's row, and not as a follower.
    await eventually('the follower waits', async () => waits || (await place.isBlocked()))
    return new Follower(run, () => electedAt)
  }

  async takesOver(since: number, how: How): Promise<Run> {
    const run = await within('the follower takes over', this.#run, NEXT_RUN_MS)
    const electedAt = this.#electedAt()
    // A process that handles the signal may have sealed before it ended.
    if (electedAt === undefined && how === 'SIGTERM') return run
    const tookMs = (electedAt ?? Number.NaN) - since
    expect(tookMs, `the follower took over after ${Math.round(tookMs)} ms`).toBeLessThan(TAKEOVER_MS)
    return run
  }
}

async function oidOf(place: Place, name: string): Promise<unknown> {
  return await place.rows('select oid from pg_database where datname = $1', [name])
}
