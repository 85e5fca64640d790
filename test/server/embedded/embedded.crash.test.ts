import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { subscribe } from '../../../src/events.ts'
import type { Session } from '../../../src/postgres/index.ts'
import type { Server } from '../../../src/server/server.ts'
import { eventually, isAlive, type Lab, openLab, postmasterOf, withAdmin } from '../../helpers/embedded.ts'
import { CLUSTER } from '../../helpers/packages.ts'

let lab: Lab

beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab.close())

/** A server that is up, and the pids of its two processes. */
async function up(idleMs = 60_000): Promise<{
  options: ReturnType<Lab['options']>
  server: Server
  pid: number
  supervisorPid: number
}> {
  const options = lab.options({ idleMs })
  const server = await lab.module.startEmbedded(options)
  const { pid = 0, supervisorPid = 0 } = await lab.status(options)
  return { options, server, pid, supervisorPid }
}

async function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  process.kill(pid, signal)
  await eventually(`process ${pid} is gone`, async () => !(await isAlive(pid)))
}

async function keepTable(session: Session): Promise<void> {
  await session.query('create table kept as select 1 as one')
  // With synchronous_commit off, what the server has not written yet (200 ms) dies with it.
  await session.query('checkpoint')
}

async function hasTable(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ there: boolean }>(`select to_regclass('kept') is not null as there`)
  return rows[0]?.there === true
}

test('supervisor killed: the next start adopts the same postmaster with a new supervisor, which stops it when idle', async () => {
  const { options, server, pid, supervisorPid } = await up(400)
  const before = await postmasterOf(server)
  await kill(supervisorPid)
  // Without a supervisor nobody stops it.
  await eventually('the lock is free', async () => (await lab.status(options)).supervisorPid === undefined)

  const again = await lab.module.startEmbedded(options)
  expect(await postmasterOf(again)).toBe(before)
  const status = await lab.status(options)
  expect(status.pid).toBe(pid)
  expect(status.supervisorPid).not.toBe(supervisorPid)
  expect(await isAlive(status.supervisorPid ?? 0)).toBe(true)

  await eventually('the adopted server is stopped', async () => !(await isAlive(pid)))
  await eventually('its socket folder is gone', () => !existsSync(server.admin.host))
})

test('supervisor killed: four starts at once still end up with one supervisor and the same server', async () => {
  const { options, server, supervisorPid } = await up()
  const before = await postmasterOf(server)
  await kill(supervisorPid)
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => lab.start(options)))
  expect(outcomes.map((one) => one.message)).toEqual([undefined, undefined, undefined, undefined])
  expect(await postmasterOf(outcomes[0]?.result ?? server)).toBe(before)
  const { rows } = await withAdmin(server, (session) =>
    session.query(`select 1 from pg_stat_activity where application_name like 'testdb supervisor%'`),
  )
  expect(rows).toHaveLength(1)
})

test('supervisor killed: down ends the orphan', async () => {
  const { options, server, pid, supervisorPid } = await up()
  await kill(supervisorPid)
  expect(await lab.module.stopEmbedded(options)).toBe(true)
  expect(await isAlive(pid)).toBe(false)
  expect(existsSync(server.admin.host)).toBe(false)
})

test('supervisor told to end by a signal: it stops the server', async () => {
  const { options, server, pid, supervisorPid } = await up()
  await kill(supervisorPid, 'SIGTERM')
  expect(await isAlive(pid)).toBe(false)
  expect(existsSync(server.admin.host)).toBe(false)
  expect((await lab.status(options)).running).toBe(false)
})

test("the supervisor's session ended by somebody: it takes the lock again", async () => {
  const { options, server, pid, supervisorPid } = await up()
  await withAdmin(server, (session) =>
    session.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'testdb superv%'`,
    ),
  )
  await eventually('the same supervisor is back', async () => {
    return (await lab.status(options)).supervisorPid === supervisorPid
  })
  expect((await lab.status(options)).pid).toBe(pid)
})

test('postmaster killed: its supervisor ends, the next start works and the data is there', async () => {
  const { options, server, pid, supervisorPid } = await up()
  await withAdmin(server, keepTable)
  await kill(pid)
  const again = await lab.module.startEmbedded(options)
  expect(await withAdmin(again, hasTable)).toBe(true)
  expect((await lab.status(options)).pid).not.toBe(pid)
  await eventually('the old supervisor has ended', async () => !(await isAlive(supervisorPid)))
  await eventually('the old socket folder is gone', () => !existsSync(server.admin.host))
  expect((await lab.status(options)).running).toBe(true)
})

test('a state file that is damaged, or speaks of something else, is not believed', async () => {
  const { options, server } = await up()
  const before = await postmasterOf(server)
  const file = `${options.cacheDir}/${CLUSTER}/state.json`
  const state = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  const stranger = await up()
  const wrong = [
    '{"format":1,"port":',
    JSON.stringify({ ...state, port: 1, socketDir: null }),
    JSON.stringify({ ...state, password: 'wrong' }),
    // The port and the password of another server that answers well.
    JSON.stringify({
      ...state,
      port: stranger.server.address.port,
      socketDir: null,
      password: stranger.server.admin.password,
    }),
  ]
  for (const text of wrong) {
    await writeFile(file, text)
    expect(await postmasterOf(await lab.module.startEmbedded(options))).toBe(before)
  }
})

test('data folder deleted while the server runs: it ends, and the next start makes a new one', async () => {
  const { options, pid } = await up()
  // The server writes into it meanwhile.
  await rm(options.cacheDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 10 })
  const server = await lab.module.startEmbedded(options)
  expect((await lab.status(options)).pid).not.toBe(pid)
  expect(await postmasterOf(server)).not.toBe('')
  await eventually('the old postmaster has ended', async () => !(await isAlive(pid)))
  expect((await lab.status(options)).running).toBe(true)
})

test('a lock that a dead process has left is taken over, and said after a while', async () => {
  const options = lab.options()
  const lock = `${options.cacheDir}/${CLUSTER}/start.lock`
  await mkdir(lock, { recursive: true })
  const fresh = new Date(Date.now() - 2_000)
  await utimes(lock, fresh, fresh)
  const told: string[] = []
  const off = subscribe('server.starting', ({ summary }) => told.push(summary))
  await lab.module.startEmbedded(options)
  off()
  expect(told[0]).toContain('waiting for another process')
})
