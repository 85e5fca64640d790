/** The commands around the embedded server, in the order of its life: status, doctor, up, reset, down, prune. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { StatusReport } from '../../src/cli/status/report.ts'
import { parseUrl, Session } from '../../src/postgres/index.ts'
import { binaries, CLUSTER } from '../helpers/packages.ts'
import { eventually } from '../helpers/wait.ts'
import { type CliLab, openCliLab, PROJECT, type Running } from './lab.ts'

let lab: CliLab
let root: string

beforeAll(async () => {
  lab = await openCliLab()
  root = lab.project({ ...PROJECT, 'wait.cjs': "console.log('ready'); process.stdin.resume()" }).root
})
afterAll(() => lab.close())

const cli = (...args: string[]) => lab.cli(args, { cwd: root })

async function statusJson(): Promise<StatusReport> {
  const { code, stdout } = await cli('status', '--json')
  expect(code).toBe(0)
  return JSON.parse(stdout) as StatusReport
}

/** A run that is alive until its input ends. */
async function liveRun(): Promise<Running> {
  const running = lab.start(['run', '--', process.execPath, 'wait.cjs'], { cwd: root })
  await running.says('ready')
  return running
}

async function endOf(running: Running): Promise<void> {
  running.child.stdin?.end()
  expect((await running.ended).code).toBe(0)
}

const passwords = (): string[] =>
  [...readFileSync(path.join(lab.cacheDir, CLUSTER, 'state.json'), 'utf8').matchAll(/"password": "([^"]+)"/g)].map(
    (match) => match[1] ?? '',
  )

test('a server that was never started: reading commands start nothing and are content', async () => {
  expect(await cli('status')).toEqual({ code: 0, stdout: 'server       embedded, never started\n', stderr: '' })
  const nothing = {
    ...{ connections: null, problem: null, runs: [], templates: [], databases: [], schemas: [] },
    activity: { queries: [], transactions: [] },
    waits: { runs: [], followers: [], blocked: [] },
  }
  const server = {
    kind: 'embedded',
    running: false,
    version: null,
    place: null,
    embedded: null,
    container: null,
    ...nothing,
  }
  expect(await statusJson()).toEqual({ project: 'shop', servers: [server] })
  const content = (text: string) => ({ code: 0, stdout: expect.stringContaining(text), stderr: '' })
  expect(await Promise.all([cli('down'), cli('reset'), cli('prune')])).toMatchObject([
    content('not running'),
    content('nothing to heal'),
    content('nothing to remove'),
  ])
  expect(await statusJson()).toMatchObject({ servers: [{ embedded: null }] })
})

test('up starts the server and keeps it; the password is printed nowhere', async () => {
  const started = await cli('up')
  expect(started).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(new RegExp(`^embedded PostgreSQL ${binaries.version} on port \\d+, data on disk`)),
  })
  const [status, report] = await Promise.all([cli('status'), statusJson()])
  expect(status.stdout).toMatch(
    /^server {7}embedded PostgreSQL [\d.]+ on 127\.0\.0\.1:\d+ · pid \d+ · supervisor \d+ · kept by `testdb up`/,
  )
  expect(passwords()).toHaveLength(1)
  const json = JSON.stringify(report)
  for (const text of [started.stdout, started.stderr, status.stdout, json]) expect(text).not.toContain(passwords()[0])
  expect(report).toMatchObject({
    servers: [
      {
        running: true,
        embedded: { major: binaries.major, kept: true, storage: 'disk' },
        connections: { max: 1500, severity: 'ok' },
        runs: [],
      },
    ],
  })
})

test('while a run is alive: status shows it, reset leaves its database alone, prune keeps it, down refuses', async () => {
  const running = await liveRun()
  const pid = running.child.pid
  const [server] = (await statusJson()).servers
  expect(server?.runs).toMatchObject([
    {
      project: 'shop',
      runner: 'run',
      pid,
      ageSeconds: expect.any(Number),
      slots: 1,
      connectionLimit: 24,
      waiting: false,
    },
  ])
  expect(server?.templates).toMatchObject([
    { project: 'shop', state: 'sealed', migrations: 1, leader: null, step: null, error: null },
  ])
  const lease = { backendPid: expect.any(Number), applicationName: 'testdb lease:shop' }
  expect(server?.databases).toMatchObject([{ project: 'shop', state: 'ready', lease, connectionLimit: 24 }])
  const name = server?.databases[0]?.name

  const [{ stdout }, healed, pruned, refused] = await Promise.all([
    cli('status'),
    cli('reset', '--all'),
    cli('prune'),
    cli('down'),
  ])
  expect(stdout).toMatch(
    new RegExp(
      `runs \\(1\\)\n {2}#\\d+ run in shop · pid ${pid} on \\S+ · for [\\d.]+ s · 26 connections: 1 database of 24`,
    ),
  )
  expect(stdout).toMatch(new RegExp(`${name} · of testdb_t_\\w+ · leased by session \\d+ \\(testdb lease:shop\\)`))

  expect(healed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(`${name}: in use by session \\d+ \\(testdb lease:shop\\), left alone`),
  })
  expect(pruned).toMatchObject({ code: 0, stdout: '0 databases removed.\n' })
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toMatch(new RegExp(`^TESTDB_RUN_ACTIVE: 1 run is active: run in shop \\(pid ${pid} on .*\\)`))
  await endOf(running)
})

test('reset heals idle databases of ours; prune removes them, a dry run only lists', async () => {
  expect((await cli('prune')).code).toBe(0)
  const script = `const knex = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL })
    knex('knex_migrations_lock').update({ is_locked: 1 }).then(() => knex.destroy())`
  // A truncate keeps the migration tool's tables as they are.
  const env = { TESTDB_RESET: 'truncate' }
  expect((await lab.cli(['run', '--', process.execPath, '-e', script], { cwd: root, env })).code).toBe(0)
  const [server] = (await statusJson()).servers
  const [template, database] = [server?.templates[0]?.name, server?.databases[0]?.name]
  expect(await cli('reset')).toMatchObject({
    code: 0,
    stdout: `${database}: knex_migrations_lock had is_locked = 1: healed\n`,
  })

  const [keep, dry] = await Promise.all([cli('prune', '--keep-days', '1'), cli('prune', '--dry-run')])
  expect(keep).toMatchObject({ code: 0, stdout: '0 databases removed.\n' })
  expect(dry).toMatchObject({
    code: 0,
    stdout: `would remove ${database}\nwould remove ${template}\n2 databases would be removed.\n`,
  })
  expect((await statusJson()).servers[0]?.databases).toHaveLength(1)
  const done = await cli('prune')
  expect(done).toMatchObject({ code: 0, stdout: `removed ${database}\nremoved ${template}\n2 databases removed.\n` })
  expect((await statusJson()).servers[0]?.databases).toEqual([])
})

test('reset --all drops what is idle in this project only', async () => {
  const other = lab.project({
    ...PROJECT,
    'package.json': '{"name":"other"}',
    'migrations/002.js': 'exports.up = exports.down = () => undefined',
  })
  const runs = await Promise.all([root, other.root].map((cwd) => lab.cli(['run', '--', 'true'], { cwd })))
  expect(runs.map(({ code }) => code)).toEqual([0, 0])
  const { code, stdout } = await cli('reset', '--all')
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /testdb_shop_\d+: dropped\ntestdb_t_\w+: dropped\ntestdb_other_\d+: knex_migrations_lock is fine/,
  )
})

test('status names the oldest queries and transactions, and who is blocked by whom', async () => {
  const running = await liveRun()
  const leased = ({ lease }: { readonly lease: object | null }): boolean => lease !== null
  const database = (await statusJson()).servers[0]?.databases.find(leased)
  const url = (await cli('url', database?.name ?? '')).stdout.trim()
  const open = (applicationName: string) => Session.open(parseUrl(url), { applicationName })
  const [holder, waiter, secret] = [await open('holder'), await open('waiter'), await open('secret')]
  await holder.query('begin; lock table users')
  const waiting = waiter.query('select * from users')
  const atWork = `select from pg_stat_activity where pid = ${waiter.backendPid} and wait_event_type = 'Lock'`
  await eventually('it waits, and is the older one', async () => (await secret.query(atWork)).rowCount === 1)
  const sleeping = secret.query(`select pg_sleep(60), 'password=geheim'`)
  const ended = Promise.allSettled([waiting, sleeping])
  const server = await eventually('the query is a slow one', async () => {
    const [one] = (await statusJson()).servers
    return one?.activity.queries.filter(({ durationMs }) => durationMs > 1_000).length === 2 ? one : undefined
  })
  expect(server.databases.find(leased)).toMatchObject({
    connections: 4,
    connectionLimit: 24,
    percent: 17,
    severity: 'ok',
  })
  const blocking = {
    pid: holder.backendPid,
    applicationName: 'holder',
    state: 'idle in transaction',
    query: 'begin; lock table users',
  }
  expect(server.waits).toMatchObject({
    runs: [],
    followers: [],
    blocked: [{ pid: waiter.backendPid, query: 'select * from users', waitingMs: expect.any(Number), by: [blocking] }],
  })
  expect(server.activity.transactions[0]).toMatchObject(blocking)
  expect(server.activity.queries.find(({ pid }) => pid === secret.backendPid)).toMatchObject({ query: null })
  const { stdout } = await cli('status')
  expect(stdout).toMatch(
    /oldest queries \(2\)\n {2}[\d.]+ s, (warning|critical) · pid \d+ \(waiter\) · testdb_shop_\d+ · active: select/,
  )
  expect(stdout).toMatch(
    /oldest transactions \(3\)\n {2}[\d.]+ s · pid \d+ \(holder\) · testdb_shop_\d+ · idle in transaction: begin/,
  )
  expect(stdout).toMatch(
    /waits \(1\)\n {2}pid \d+ \(waiter\) .* blocked by pid \d+ \(holder\) .*: begin; lock table users\n/,
  )
  expect(stdout + JSON.stringify(server)).not.toContain('geheim')
  await Promise.all([holder, waiter, secret].map((session) => session.close()))
  await ended
  await endOf(running)
})

test('status --watch shows what changes over one session, and goes on when the server stops and comes back', async () => {
  const [watching, lines] = [
    ['status', '--watch'],
    ['status', '--watch', '--json'],
  ].map((args) => lab.start(args, { cwd: root }))
  if (!watching || !lines) throw new Error('two were started')
  await Promise.all([watching.says('runs (0)'), lines.says('"runs":[]')])
  const running = await liveRun()
  await watching.says(`pid ${running.child.pid} on `)
  const [server] = (await statusJson()).servers
  // A look of its own counts itself not, and the lease, the run, the two that watch.
  const url = new URL((await cli('url', server?.databases[0]?.name ?? '')).stdout.trim())
  await using session = await Session.open(parseUrl(url.href), { applicationName: 'test' })
  const names = `select application_name from pg_stat_activity where application_name like 'testdb watch%'`
  expect((await session.query(names)).rows).toHaveLength(2)
  await session.close()
  await endOf(running)
  expect(await cli('down', '--force')).toMatchObject({ code: 0 })
  await Promise.all([watching.says(', not running'), lines.says('"running":false')])
  expect(await cli('up')).toMatchObject({ code: 0 })
  // Running, not running, and running again.
  await watching.says('\nserver ', 3)
  const ends = (['SIGTERM', 'SIGINT'] as const).map((signal, n) => ([watching, lines][n] as Running).child.kill(signal))
  expect(ends).toEqual([true, true])
  const [plain, json] = await Promise.all([watching.ended, lines.ended])
  expect([plain.code, plain.stderr, json.code, json.stderr]).toEqual([0, '', 0, ''])
  // Blocks that have not changed are not repeated, ages alone are no change.
  const blocks = plain.stdout.split(/^-- \d\d:\d\d:\d\d\n/m).slice(1)
  expect(blocks[0]).toMatch(/^server .*\nconnections .*\nruns \(0\)\n/)
  const servers = plain.stdout.split('\n').filter((line) => line.startsWith('server '))
  expect(servers.filter((line, n) => line === servers[n - 1])).toEqual([])
  expect(servers.length).toBeGreaterThanOrEqual(3)
  const reports = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StatusReport)
  expect(reports.some(({ servers }) => servers[0]?.runs.length === 1)).toBe(true)
})

test('down --force stops the server although a run is alive, and is content when it is stopped', async () => {
  const running = await liveRun()
  expect(await cli('down', '--force')).toMatchObject({ code: 0, stdout: 'The embedded server is stopped.\n' })
  running.child.stdin?.end()
  const { code, stderr } = await running.ended
  expect(code).toBe(1)
  expect(stderr).toContain('TESTDB_LEASE_LOST')
  expect(await cli('status')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^server {7}embedded PostgreSQL \d+, not running · /),
  })
  expect(await statusJson()).toMatchObject({
    servers: [{ running: false, embedded: { major: binaries.major, kept: false, pid: null } }],
  })
  expect(await cli('down')).toMatchObject({ code: 0, stdout: 'The embedded server is not running.\n' })
})

test('up and down leave the server of a URL to its owner', async () => {
  const env = { TESTDB_URL: 'postgres://app:geheim@localhost/app_test' }
  for (const command of ['up', 'down']) {
    const { code, stderr } = await lab.cli([command], { cwd: root, env })
    expect(code).toBe(1)
    expect(stderr).toContain('given by TESTDB_URL: testdb does not manage it')
    expect(stderr).not.toContain('geheim')
  }
})
