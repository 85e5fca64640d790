/**
 * The embedded server's part of the crash table: at each step of its protocols (src/steps.ts) the process that stands there
 * is killed, told to end, loses its session or its server. The next start has to work, with the data, and nothing of the
 * dead one may be left.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Session } from '../../src/postgres/index.ts'
import { adminTarget, type ServerState } from '../../src/server/embedded/state-file.ts'
import { STEPS, type Step } from '../../src/steps.ts'
import { ways } from '../helpers/effort.ts'
import { eventually, type Lab, openLab, postmasterOf } from '../helpers/embedded.ts'
import { end, hasTable, makeSound, openRow, type Row } from '../helpers/embedded-row.ts'

// Most rows wait for the stale time of the start lock, which costs nothing.
vi.setConfig({ maxConcurrency: 10, testTimeout: 120_000 })

/** From the start of a process to its step, on a machine that others load. */
const REACHED_MS = 90_000
/** The stale time of the start lock (5 s), a start, and such a machine. */
const BOUND_MS = 25_000

type End = 'SIGKILL' | 'SIGTERM' | 'session cut' | 'postmaster killed'

const BOOT: [Step, End[]][] = [
  ['boot.locked', ['SIGKILL', 'SIGTERM']],
  ['boot.clusterMade', ['SIGKILL', 'SIGTERM']],
  ['boot.supervisorSpawned', ['SIGKILL', 'SIGTERM']],
]
const SUPERVISOR: [Step, End[]][] = [
  ['supervisor.working', ['SIGKILL', 'SIGTERM']],
  ['supervisor.postmasterUp', ['SIGKILL', 'SIGTERM', 'postmaster killed']],
  ['supervisor.supervising', ['SIGKILL', 'SIGTERM', 'session cut', 'postmaster killed']],
]
const STOP: [Step, End[]][] = [
  ['stop.locked', ['SIGKILL', 'SIGTERM', 'session cut', 'postmaster killed']],
  ['stop.setAside', ['SIGKILL', 'SIGTERM', 'session cut', 'postmaster killed']],
  ['stop.stateRemoved', ['SIGKILL', 'SIGTERM', 'session cut', 'postmaster killed']],
  ['stop.stopped', ['SIGKILL', 'SIGTERM']],
]
const rowsOf = (table: [Step, End[]][]): { step: Step; how: End }[] =>
  table.flatMap(([step, ends]) => ways(ends).map((how) => ({ step, how })))

let lab: Lab
let sound: string

beforeAll(async () => {
  lab = await openLab()
  sound = await makeSound(lab)
})
afterAll(() => lab.close())

/** Does it to the process that stands at the step, and lets it go on where it still can. */
async function happen(how: End, pid: number, row: Row): Promise<void> {
  if (how === 'SIGKILL' || how === 'SIGTERM') return await end(pid, how, row.stop)
  if (how === 'postmaster killed') for (const one of row.postmasters()) process.kill(one, 'SIGKILL')
  else await cutSession(row)
  await row.stop.resume()
}

async function cutSession(row: Row): Promise<void> {
  const names = ['state.json', 'state.json.stopping']
  const texts = await Promise.all(names.map((name) => readFile(`${row.folder}/${name}`, 'utf8').catch(() => '')))
  const state = JSON.parse(texts.find(Boolean) ?? '') as ServerState
  await using session = await Session.open(adminTarget(state), { applicationName: 'test' })
  const { rows } = await session.query(
    `select pg_terminate_backend(pid) as ended from pg_stat_activity where application_name like 'testdb supervisor%'`,
  )
  expect(rows).toEqual([{ ended: true }])
}

/** The start that comes next, or is under way. */
async function expectRecovered(row: Row, next = row.next()): Promise<void> {
  const begun = performance.now()
  const server = await next
  expect(performance.now() - begun).toBeLessThan(BOUND_MS)
  if (row.sound) expect(await hasTable(server)).toBe(true)
  await row.expectClean(server)
}

/** Brings a server up whose supervisor then stops it for being idle, and stands at that step. */
async function untilStopping(row: Row): Promise<number> {
  const { result, message } = await row.start({ idleMs: 50 })
  expect([message, result?.kind]).toEqual([undefined, 'embedded'])
  await row.forgetAttach()
  return await row.stop.reached(REACHED_MS)
}

test('every step of the server has a row', () => {
  const rows = new Set([...BOOT, ...SUPERVISOR, ...STOP].map(([step]) => step))
  expect([...rows].sort()).toEqual(
    Object.keys(STEPS)
      .filter((step) => /^(boot|supervisor|stop)\./.test(step))
      .sort(),
  )
})

/** Only a start that makes a cluster comes by one of the steps. */
const dataFor = (step: Step): string | undefined => (step === 'boot.clusterMade' ? undefined : sound)

describe.concurrent('starting', () => {
  test.each(rowsOf(BOOT))('$step: two starters, the first one: $how', async ({ step, how }) => {
    await using row = await openRow(lab, step, dataFor(step))
    const first = row.start()
    const pid = await row.stop.reached(REACHED_MS)
    const second = row.next()
    await happen(how, pid, row)
    await expectRecovered(row, second)
    await first
  })

  test.each(rowsOf(SUPERVISOR))('$step, supervisor: $how', async ({ step, how }) => {
    await using row = await openRow(lab, step, sound)
    const first = row.start()
    await happen(how, await row.stop.reached(REACHED_MS), row)
    // It is not the starter's fault, and it does not fail.
    expect((await first).message).toBeUndefined()
    await expectRecovered(row)
  })

  test.each(BOOT)('%s: a starter stands still until another one has its lock, and goes on', async (step) => {
    await using row = await openRow(lab, step, dataFor(step))
    const first = row.start()
    await row.stop.reached(REACHED_MS)
    const server = await row.next()
    const before = await postmasterOf(server)
    // A supervisor that gets no job gives up after ten seconds.
    if (step === 'boot.supervisorSpawned')
      await eventually('there is one supervisor', () => row.supervisors().length === 1)
    await row.stop.resume()
    expect(await first).toMatchObject({ kind: 'ready', result: { address: server.address } })
    expect(await postmasterOf(server)).toBe(before)
    await expectRecovered(row)
  })

  test('boot.clusterMade: the supervisor that waits for its job is killed', async () => {
    await using row = await openRow(lab, 'boot.clusterMade', undefined)
    const first = row.start()
    await row.stop.reached(REACHED_MS)
    const [waiting] = row.supervisors()
    if (waiting === undefined) throw new Error('no supervisor waits')
    process.kill(waiting, 'SIGKILL')
    await eventually('it is gone', () => row.supervisors().length === 0)
    await row.stop.resume()
    expect(await first).toMatchObject({ kind: 'ready' })
    await expectRecovered(row)
  })

  test.each(SUPERVISOR)('%s: starter and supervisor stand still until another starter has the lock', async (step) => {
    await using row = await openRow(lab, step, sound)
    const first = row.start()
    await row.stop.reached(REACHED_MS)
    const starter = row.starters()[0]?.pid ?? 0
    process.kill(starter, 'SIGSTOP')
    const server = await row.next()
    const before = await postmasterOf(server)
    await row.stop.resume()
    process.kill(starter, 'SIGCONT')
    expect(await first).toMatchObject({ kind: 'ready', result: { address: server.address } })
    expect(await postmasterOf(server)).toBe(before)
    await expectRecovered(row)
  })
})

describe.concurrent('stopping', () => {
  test.each(rowsOf(STOP))('$step, supervisor: $how', async ({ step, how }) => {
    await using row = await openRow(lab, step, sound)
    await happen(how, await untilStopping(row), row)
    await expectRecovered(row)
  })

  test.each(STOP)('%s: a start meanwhile', async (step) => {
    await using row = await openRow(lab, step, sound)
    await untilStopping(row)
    const next = row.next()
    await row.stop.resume()
    await expectRecovered(row, next)
  })

  test.each(STOP)('%s: the supervisor stands still until a start is through, and goes on', async (step) => {
    await using row = await openRow(lab, step, sound)
    await untilStopping(row)
    const server = await row.next()
    const before = await postmasterOf(server)
    await row.stop.resume()
    await eventually('its turn is over', () => row.hasNoLock())
    expect(await postmasterOf(server)).toBe(before)
    await expectRecovered(row)
  })
})
