/** What machines do to the embedded server: reboots, clocks that are set, processes that stand still, backends that crash. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Session } from '../../../src/postgres/index.ts'
import { chooseAccount } from '../../../src/server/embedded/account.ts'
import type { Server } from '../../../src/server/server.ts'
import { eventually, isAlive, isRoot, type Lab, ORDINARY, openLab, postmasterOf } from '../../helpers/embedded.ts'
import { copyData, hasTable, makeSound } from '../../helpers/embedded-row.ts'
import { CLUSTER } from '../../helpers/packages.ts'

/** The stale time of the start lock (5 s), initdb, a start, and a machine that others load. */
const BOUND_MS = 60_000
const HOUR_MS = 3_600_000

vi.setConfig({ testTimeout: 120_000 })

let lab: Lab
let sound: string

beforeAll(async () => {
  lab = await openLab()
  sound = await makeSound(lab)
})
afterAll(() => lab.close())

interface Place {
  readonly options: ReturnType<Lab['options']>
  readonly folder: string
  start(): Promise<Server>
}

/** A cache folder with data and no server. */
async function place(idleMs = 60_000): Promise<Place> {
  const options = lab.options({ idleMs })
  await copyData(sound, options.cacheDir)
  const start = async (): Promise<Server> => {
    const begun = performance.now()
    const server = await lab.module.startEmbedded(options)
    expect(performance.now() - begun).toBeLessThan(BOUND_MS)
    return server
  }
  return { options, folder: path.join(options.cacheDir, CLUSTER), start }
}

async function pidsOf({ options }: Place): Promise<{ pid: number; supervisorPid: number }> {
  const { pid = 0, supervisorPid = 0 } = await lab.status(options)
  return { pid, supervisorPid }
}

async function kill(...pids: number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  for (const pid of pids) await eventually(`process ${pid} is gone`, async () => !(await isAlive(pid)))
}

async function setTimes(folder: string, ms: number): Promise<void> {
  const time = new Date(Date.now() + ms)
  for (const name of await readdir(folder)) await utimes(path.join(folder, name), time, time)
}

const STRANGERS = [
  // Other users' processes Postgres does not take for a living postmaster anyway.
  { whose: 'the user that Postgres runs as', user: (): object => chooseAccount() ?? {} },
  { whose: 'ourselves', user: (): object => ({}) },
  ...(isRoot ? [{ whose: 'another user', user: (): object => ({ uid: ORDINARY, gid: ORDINARY }) }] : []),
]

describe.concurrent('restarted', () => {
  test.each(
    STRANGERS.flatMap((stranger) => [
      { ...stranger, what: 'container', boot: undefined },
      { ...stranger, what: 'machine', boot: 'another boot' },
    ]),
  )('$what: the pids in its files are now of processes of $whose', async ({ user, boot }) => {
    const one = await place()
    await one.start()
    const pids = await pidsOf(one)
    await kill(pids.supervisorPid, pids.pid)
    const strangers: ChildProcess[] = [1, 2].map(() => spawn('sleep', ['60'], { ...user(), stdio: 'ignore' }))
    const [first = 0, second = 0] = strangers.map(({ pid }) => pid)
    await edit(`${one.folder}/cluster/data/postmaster.pid`, (text) => text.replace(/^\d+/, String(first)))
    await edit(`${one.folder}/state.json`, (text) => text.replace(`"pid": ${pids.pid}`, `"pid": ${second}`))
    if (boot)
      await edit(`${one.folder}/cluster/cluster.json`, (text) => text.replace(/"boot":"[^"]*"/, `"boot":"${boot}"`))

    const server = await one.start()
    // Without fsync, what a machine took down with it is not trusted.
    expect(await hasTable(server)).toBe(boot === undefined)
    expect(strangers.map(({ exitCode, signalCode }) => [exitCode, signalCode])).toEqual([
      [null, null],
      [null, null],
    ])
    for (const stranger of strangers) stranger.kill()
  })
})

async function edit(file: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const changed = change(text)
  expect(changed).not.toBe(text)
  await writeFile(file, changed)
}

describe.concurrent('the clock was set', () => {
  test.each([
    ['back', HOUR_MS],
    ['ahead', -HOUR_MS],
  ])('%s: every file of a stopped server has another time', async (_, ms) => {
    const one = await place()
    await one.start()
    await lab.module.stopEmbedded(one.options)
    await setTimes(one.folder, ms)
    await setTimes(`${one.folder}/cluster`, ms)
    expect(await hasTable(await one.start())).toBe(true)
  })

  test.each([
    ['back', HOUR_MS],
    ['ahead', -HOUR_MS],
  ])('%s: the start lock of a dead process does not last', async (_, ms) => {
    const one = await place()
    await mkdir(`${one.folder}/start.lock`)
    await setTimes(one.folder, ms)
    expect(await hasTable(await one.start())).toBe(true)
    expect(existsSync(`${one.folder}/start.lock`)).toBe(false)
  })

  test('back, while the server runs: it is still attached to, and stops when it is idle', async () => {
    const one = await place(100)
    const server = await one.start()
    const before = await postmasterOf(server)
    await setTimes(one.folder, HOUR_MS)
    expect(await postmasterOf(await one.start())).toBe(before)
    const { pid, supervisorPid } = await pidsOf(one)
    // A dead process has left its lock, too.
    await mkdir(`${one.folder}/start.lock`)
    await setTimes(one.folder, HOUR_MS)
    await eventually('both have ended', async () => !(await isAlive(pid)) && !(await isAlive(supervisorPid)), BOUND_MS)
    expect(existsSync(`${one.folder}/start.lock`)).toBe(false)
  })
})

describe.concurrent('standing still', () => {
  test('a supervisor: starts attach meanwhile, and afterwards it goes on', async () => {
    const one = await place(100)
    const before = await postmasterOf(await one.start())
    const { pid, supervisorPid } = await pidsOf(one)
    process.kill(supervisorPid, 'SIGSTOP')
    expect(await postmasterOf(await one.start())).toBe(before)
    expect(await pidsOf(one)).toEqual({ pid, supervisorPid })
    process.kill(supervisorPid, 'SIGCONT')
    await eventually('the server stops when it is idle', async () => !(await isAlive(pid)))
    await eventually('so does its supervisor', async () => !(await isAlive(supervisorPid)))
  })

  test('a supervisor whose server is killed: the next server has another one, and keeps it', async () => {
    const one = await place()
    const first = await one.start()
    const old = await pidsOf(one)
    process.kill(old.supervisorPid, 'SIGSTOP')
    await kill(old.pid)
    const server = await one.start()
    const now = await pidsOf(one)
    process.kill(old.supervisorPid, 'SIGCONT')
    await eventually('the old supervisor has ended', async () => !(await isAlive(old.supervisorPid)))
    expect(existsSync(first.admin.host)).toBe(false)
    expect(await hasTable(server)).toBe(true)
    expect(await pidsOf(one)).toEqual(now)
  })
})

describe.concurrent('a backend crashes', () => {
  test('the server restarts itself: starts meanwhile wait for it, and it has one supervisor afterwards', async () => {
    const one = await place()
    const server = await one.start()
    const before = await pidsOf(one)
    const victim = await Session.open(server.admin, { applicationName: 'test' })
    const witness = await Session.open(server.admin, { applicationName: 'test' })
    process.kill(victim.backendPid, 'SIGKILL')
    // Before that a start is answered by the server as it was.
    await eventually('the postmaster has noticed', async () => witness.lost.aborted)
    const servers = await Promise.all([one.start(), one.start()])
    expect(servers.map(({ address }) => address)).toEqual([server.address, server.address])
    await victim.close()
    await witness.close()
    // A start that comes before the old supervisor is back brings its own; then the old one ends.
    const after = await pidsOf(one)
    expect(after.pid).toBe(before.pid)
    expect(await isAlive(after.supervisorPid)).toBe(true)
    if (after.supervisorPid !== before.supervisorPid) {
      await eventually('the old supervisor has ended', async () => !(await isAlive(before.supervisorPid)))
    }
    expect(await hasTable(server)).toBe(true)
    expect(await lab.module.stopEmbedded(one.options)).toBe(true)
    await eventually('its supervisor has ended', async () => !(await isAlive(after.supervisorPid)))
  })
})
