/** `testdb doctor --budget`: the application's connections as a "what if", and those of the test server. */
import { availableParallelism } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BudgetReport } from '../../src/cli/doctor/budget.ts'
import type { DoctorReport } from '../../src/cli/doctor/check.ts'
import { ensureRegistry, readConnectionFacts } from '../../src/coordination/index.ts'
import { type ConnectionTarget, formatUrl, Session, withSession } from '../../src/postgres/index.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { type CliLab, openCliLab, PROJECT, type Result } from './lab.ts'

let lab: CliLab
let server: TestServer
let admin: ConnectionTarget
let url: string
/** No server, no knexfile. */
let empty: string

const WORKERS = availableParallelism()
/** `max_connections` 300 (private-postgres.ts) − 3 reserved − 30 headroom. */
const USABLE = 267

beforeAll(async () => {
  ;[lab, server] = await Promise.all([openCliLab(), startTestServer()])
  await withSession(server.admin, { applicationName: 'test' }, async (session) => {
    await session.query(`create role app login password 'geheim'`)
    await session.query('create database app_test')
    await session.query('create database neighbour')
  })
  admin = { ...server.admin, password: 'geheim', database: 'app_test' }
  url = formatUrl(admin)
  empty = lab.project({ 'package.json': '{"name":"shop"}' }, []).root
})
afterAll(async () => {
  await Promise.all([lab.close(), server.stop()])
})

function budget(args: string, cwd = empty, env: Record<string, string> = {}): Promise<Result> {
  return lab.cli(['doctor', '--budget', ...args.split(' ').filter((word) => word !== '')], { cwd, env })
}

async function json(
  args: string,
  cwd = empty,
  env: Record<string, string> = {},
): Promise<BudgetReport & { code: number | null }> {
  const { code, stdout } = await budget(`${args} --json`, cwd, env)
  expect(stdout).not.toContain('geheim')
  return { ...(JSON.parse(stdout) as BudgetReport), code }
}

test('50 users, 9 background and 4 maintenance with one pool of 10', async () => {
  expect(await budget('--users 50 --background 9 --maintenance 4 --pool 10')).toEqual({
    code: 1,
    stdout: `load
  needed   63 (50 users + 9 background + 4 maintenance)
  given    10 (1 pod × pool 10)
  missing  53 (530 %)
✗ the pool is too small for the load: 53 of 63 connections are missing
    → Set \`pool: { max: 63 }\`.
`,
    stderr: '',
  })
})

test('three pods with a pool of 20 and a lock pool of 10', async () => {
  expect(await budget('--pods 3 --pool 20 --lock-pool 10')).toEqual({
    code: 1,
    stdout: `server
  max_connections  100 (Postgres' default)
  reserved           3
  headroom          10 (10 %)
  usable            87
  opened            90 (3 pods × (pool 20 + lock pool 10))
  missing            3 (3.4 %)
✗ the pools open more than the server can give: 3 of 90 connections are missing
    → Set \`pool: { max: 19 }\` in each pod.
    → Set max_connections = 104 on the server (needs a restart).
`,
    stderr: '',
  })
})

test('what is recommended fits', async () => {
  for (const args of [
    '--users 50 --background 9 --maintenance 4 --pool 63',
    '--pods 3 --pool 19 --lock-pool 10',
    '--pods 3 --pool 20 --lock-pool 10 --max-connections 104',
  ]) {
    const { code, stdout } = await budget(args)
    expect(code, stdout).toBe(0)
    expect(stdout).toMatch(/^ {2}spare/m)
  }
  expect((await budget('--pods 3 --pool 20 --lock-pool 10 --max-connections 103')).code).toBe(1)
})

test('the shape of the JSON', async () => {
  const report = await json('--users 63 --pods 3 --pool 20 --lock-pool 0 --max-connections 50')
  expect(report).toEqual({
    code: 1,
    ok: false,
    checks: [
      {
        id: 'load',
        status: 'error',
        message: 'the pools are too small for the load: 3 of 63 connections are missing',
        fixes: ['Set `pool: { max: 21 }` in each pod, which needs max_connections = 74.'],
      },
      {
        id: 'server',
        status: 'error',
        message: 'the pools open more than the server can give: 18 of 60 connections are missing',
        fixes: ['Set max_connections = 74 on the server (needs a restart).'],
      },
      { id: 'lock-pool', status: 'warning', message: expect.stringContaining('deadlock'), fixes: [expect.any(String)] },
    ],
    budget: null,
    whatIf: {
      pods: 3,
      pool: 20,
      lockPool: 0,
      load: {
        ...{ users: 63, background: 0, maintenance: 0, needed: 63, given: 60, missing: 3, percent: 5 },
        fittingPool: 21,
      },
      server: {
        ...{ maxConnections: 50, reserved: 3, origin: '--max-connections', headroom: 5, usable: 42 },
        ...{ opened: 60, missing: 18, percent: 42.9, fittingPool: null, fittingMaxConnections: 74 },
      },
    },
  })
  expect(await json('--users 5')).toMatchObject({ ok: true, code: 0, whatIf: { server: null } })
  expect(await json('--pool 5')).toMatchObject({ ok: true, code: 0, whatIf: { load: null, lockPool: null } })
})

test('the server of a URL is asked for its max_connections, but for nothing when it is not needed', async () => {
  const report = await json('--pods 30 --pool 10', empty, { TESTDB_URL: url })
  expect(report.whatIf?.server).toMatchObject({
    ...{ maxConnections: 300, reserved: 3, usable: USABLE, opened: 300, missing: 33 },
    origin: `postgres@127.0.0.1:${server.admin.port}/app_test`,
  })
  const away = { TESTDB_URL: 'postgres://app:geheim@127.0.0.1:1/app_test' }
  expect((await budget('--users 5', empty, away)).code).toBe(0)
  expect((await budget('--pods 2 --max-connections 50', empty, away)).code).toBe(0)
  const { code, stdout, stderr } = await budget('--pods 2', empty, away)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^TESTDB_SERVER_UNREACHABLE: [\s\S]*1\. Add `--max-connections <n>`/)
  expect(stderr).not.toContain('geheim')
})

const project = (knexfile: string): string =>
  lab.project({ ...PROJECT, 'testdb.config.mjs': '', 'knexfile.js': knexfile }).root

test('the test server: the table, and the environments of the knexfile', async () => {
  const root = project(`module.exports = {
    test: { client: 'pg' },
    production: { client: 'pg', connection: 'postgres://app:geheim@db/app?statement_timeout=5000', pool: { max: 268 } },
  }`)
  const { code, stdout, stderr } = await budget('', root, { TESTDB_URL: url })
  const share = 1 + WORKERS * 25
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(
    /^server\n {2}max_connections +300\n {2}reserved +3 \(.*\n {2}others +0 \(.*\n {2}headroom +30 \(10 %\)\n {2}usable +267\n/,
  )
  expect(stdout).toMatch(
    new RegExp(`\\n {2}workers +${WORKERS} \\(at most, on this machine\\)\n {2}pool.max +10\n {2}limit +24 `),
  )
  expect(stdout).toContain(`with pool.max 10 and ${share} connections in all\n`)
  expect(stdout).toContain('\n- knexfile.js, test: no connection, so no pool\n')
  expect(stdout).toContain(
    `\n! knexfile.js, production: pool of 2 to 268: too large: 1 pod × pool 268 = 268, and max_connections 300 (postgres@127.0.0.1:${server.admin.port}/app_test) gives 267; no idle_in_transaction_session_timeout; waits 60 s for a connection (Knex' default)
    → pool: { min: 0, max: 267 }
    → connection: { connectionString: …, idle_in_transaction_session_timeout: 60_000 }, or idle_in_transaction_session_timeout=60000 in the query of the URL
    → acquireConnectionTimeout: 10_000\n`,
  )
  expect(stdout).not.toContain('geheim')
})

test('a run that does not even fit squeezed is an error, in the normal report too', async () => {
  const env = { TESTDB_URL: url, TESTDB_POOL_MAX: '1000' }
  const root = project("module.exports = { client: 'pg' }")
  const least = 1 + WORKERS * 1001
  const { code, budget: found, checks } = await json('', root, env)
  expect(code).toBe(1)
  expect(found).toMatchObject({ fits: 'not', share: null, usable: USABLE, foreign: 0, least })
  expect(checks.find(({ id }) => id === 'connections')?.status).toBe('error')

  const { stdout, code: normal } = await lab.cli(['doctor', '--json'], { cwd: root, env })
  expect(normal).toBe(1)
  expect((JSON.parse(stdout) as DoctorReport).checks.find(({ id }) => id === 'connections')).toMatchObject({
    status: 'error',
    message: expect.stringMatching(
      new RegExp(
        `it needs ${least} connections at least and the server can give 267: max_connections 300 − 3 reserved − 0 of others − 30 headroom = 267 usable$`,
      ),
    ),
  })
})

test('the normal report has a line for each environment of the knexfile, and no password', async () => {
  const root = project(
    `module.exports = { production: { client: 'pg', connection: { password: 'geheim' }, pool: { max: 1 } } }`,
  )
  const { code, stdout } = await lab.cli(['doctor', '--json'], { cwd: root, env: { TESTDB_URL: url } })
  expect(stdout).not.toContain('geheim')
  const { checks } = JSON.parse(stdout) as DoctorReport
  const pool = checks.find(({ id }) => id === 'pool.production')
  expect(pool).toMatchObject({ status: 'warning', fixes: expect.arrayContaining(['pool: { min: 0, max: 2 }']) })
  expect(checks.filter(({ status }) => status === 'error').map(({ id }) => id)).toEqual(['migrator'])
  expect(code).toBe(1)
})

test('a server that can not be used: why, and exit code 1', async () => {
  const away = await json('', project("module.exports = { client: 'pg' }"), {
    TESTDB_URL: 'postgres://app:geheim@127.0.0.1:1/app_test',
  })
  expect(away).toMatchObject({ code: 1, ok: false, budget: null, whatIf: null })
  expect(away.checks[0]?.message).toContain('TESTDB_SERVER_UNREACHABLE')
})

test('others are sessions on databases that are not of testdb, also for a role that sees no details', async () => {
  const open = (database: string, applicationName: string): Promise<Session> =>
    Session.open({ ...admin, database }, { applicationName })
  await withSession(admin, { applicationName: 'test' }, async (session) => {
    await ensureRegistry(session)
    await session.query(
      `insert into testdb.templates (hash, project, summary, name, staging) values ('h', 'p', 's', 'testdb_t_h', 'testdb_s_h_1')`,
    )
    await session.query(
      `insert into testdb.databases (name, template_id, run_id) select 'testdb_p_1', id, 1 from testdb.templates`,
    )
    await session.query('grant usage on schema testdb to app')
    await session.query('grant select on all tables in schema testdb to app')
    for (const name of ['testdb_t_h', 'testdb_s_h_1', 'testdb_p_1']) await session.query(`create database ${name}`)
  })
  await using ours = await Session.open({ ...admin, user: 'app' }, { applicationName: 'testdb coordination' })
  expect((await readConnectionFacts(ours)).foreign).toBe(0)
  const opened = await Promise.all([
    open('testdb_t_h', 'migrations'),
    open('testdb_s_h_1', 'migrations'),
    open('testdb_p_1', 'application'),
    open('app_test', 'testdb coordination'),
    open('app_test', 'psql'),
    open('neighbour', 'testdb coordination'),
    open('neighbour', ''),
  ])
  expect((await readConnectionFacts(ours)).foreign).toBe(3)
  await using first = await open('app_test', 'testdb attach')
  expect((await readConnectionFacts(first)).foreign).toBe(3)
  await Promise.all(opened.map((session) => session.close()))
})
