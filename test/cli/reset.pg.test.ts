/** `testdb reset` on databases whose lock is stuck, and on one that a living migration holds. */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ConnectionTarget, formatUrl, ident, Session, withSession } from '../../src/postgres/index.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import type { ProjectFolder } from '../helpers/project-folder.ts'
import { type CliLab, openCliLab, type Running, watch } from './lab.ts'

/** Sessions of this name are known to migrate nothing, so the test's own never count as holders. */
const QUIET = { applicationName: 'testdb coordination' }
const LOCK = 'knex_migrations_lock'

let lab: CliLab
let server: TestServer
let project: ProjectFolder

beforeAll(async () => {
  ;[lab, server] = await Promise.all([openCliLab(), startTestServer()])
  project = lab.project({
    'package.json': '{"name":"shop"}',
    'testdb.config.mjs': "export default { isolation: 'shared', server: { kind: 'url' } }",
    'knexfile.js': `module.exports = { client: 'pg', connection: process.env.DATABASE_URL + '?application_name=deploy' }`,
    'migrations/001_wait.js': `exports.config = { transaction: false }
      exports.up = async (knex) => { console.log('migrating'); await knex.raw('select pg_advisory_lock(42)') }
      exports.down = () => undefined`,
    'migrate.cjs': `const knex = require('knex')(require('./knexfile.js'))
      knex.migrate.latest().then(() => { console.log('migrated'); return knex.destroy() })`,
  })
})
afterAll(async () => {
  await Promise.all([lab.close(), server.stop()])
})

const sql = (target: ConnectionTarget, text: string) =>
  withSession(target, QUIET, async (session) => (await session.query(text)).rows)

const lockRows = (target: ConnectionTarget, table = LOCK) => sql(target, `select is_locked from ${table}`)

async function databaseWith(rows: readonly number[], table = LOCK): Promise<ConnectionTarget> {
  const target = await server.createDatabase()
  await sql(target, `create table ${table} (index serial primary key, is_locked int)`)
  for (const value of rows) await sql(target, `insert into ${table} (is_locked) values (${value})`)
  return target
}

const reset = (target: ConnectionTarget, ...args: string[]) =>
  lab.cli(['reset', '--url', formatUrl(target), ...args], { cwd: project.root })

test.each([
  ['is_locked = 1', [1]],
  ['2 rows', [0, 1]],
  ['no row', []],
])('heals %s', async (found, rows) => {
  const target = await databaseWith(rows)
  const { code, stdout, stderr } = await reset(target)
  expect({ code, stdout, stderr }).toEqual({
    code: 0,
    stdout: `${target.database}: ${LOCK} had ${found}: healed\n`,
    stderr: '',
  })
  expect(await lockRows(target)).toEqual([{ is_locked: 0 }])
  expect((await reset(target)).stdout).toBe(`${target.database}: ${LOCK} is fine (is_locked = 0)\n`)
})

test('says that there is no such table', async () => {
  const target = await server.createDatabase()
  expect(await reset(target)).toMatchObject({ code: 0, stdout: `${target.database}: no table ${LOCK}\n` })
})

test('takes the table of the command line, else that of the project', async () => {
  const target = await databaseWith([1], 'history_lock')
  await sql(
    target,
    'create schema ops; create table ops.history_lock (is_locked int); insert into ops.history_lock values (1)',
  )
  expect((await reset(target, '--table', 'history', '--schema', 'ops')).stdout).toContain(
    'ops.history_lock had is_locked = 1: healed',
  )
  expect(await lockRows(target, 'public.history_lock')).toEqual([{ is_locked: 1 }])
  const named = lab.project({
    'knexfile.js': "module.exports = { client: 'pg', migrations: { tableName: 'history' } }",
    'migrations/001.js': 'exports.up = exports.down = () => undefined',
  })
  const { stdout } = await lab.cli(['reset', '--url', formatUrl(target)], { cwd: named.root })
  expect(stdout).toContain('history_lock had is_locked = 1: healed')
})

test('heals also where the project can not be loaded, and says what it looked for', async () => {
  const broken = lab.project({ 'testdb.config.mjs': 'throw new Error("boom")' })
  const target = await databaseWith([1])
  const { code, stdout, stderr } = await lab.cli(['reset', '--url', formatUrl(target)], { cwd: broken.root })
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${target.database}: ${LOCK} had is_locked = 1: healed\n` })
  expect(stderr).toMatch(/warning: .*knex_migrations_lock is looked for .*boom/)
})

test('heals the shared database of the configuration, but only on a server that is for tests', async () => {
  const env = (target: ConnectionTarget) => ({ TESTDB_URL: formatUrl(target) })
  const target = await databaseWith([1])
  const refused = await lab.cli(['reset'], { cwd: project.root, env: env(target) })
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain('TESTDB_SERVER_NOT_DISPOSABLE')
  expect(await lockRows(target)).toEqual([{ is_locked: 1 }])

  await sql(server.admin, `alter database ${ident(target.database)} rename to app_test`)
  const renamed = { ...target, database: 'app_test' }
  const { code, stdout } = await lab.cli(['reset'], { cwd: project.root, env: env(renamed) })
  expect({ code, stdout }).toEqual({ code: 0, stdout: `app_test: ${LOCK} had is_locked = 1: healed\n` })
})

test('a server that does not answer is exit code 1, and its password is not shown', async () => {
  const { code, stderr } = await lab.cli(['reset', '--url', 'postgres://app:geheim@127.0.0.1:1/app_test'])
  expect(code).toBe(1)
  expect(stderr).toContain('TESTDB_SERVER_UNREACHABLE: no connection to app@127.0.0.1:1/app_test')
  expect(stderr).not.toContain('geheim')
})

/** A migration in a process of its own that waits, outside a transaction, for an advisory lock that `gate` holds. */
async function migrating(): Promise<{ target: ConnectionTarget; gate: Session; deploy: Running }> {
  const target = await server.createDatabase()
  const gate = await Session.open(target, QUIET)
  await gate.query('select pg_advisory_lock(42)')
  const env = { ...process.env, DATABASE_URL: formatUrl(target) }
  const deploy = watch(spawn(process.execPath, ['migrate.cjs'], { cwd: project.root, env, stdio: 'pipe' }))
  await deploy.says('migrating')
  return { target, gate, deploy }
}

async function finish(gate: Session, deploy: Running): Promise<void> {
  await gate.query('select pg_advisory_unlock(42)')
  expect(await deploy.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('migrated') })
  await gate.close()
}

test('refuses while a living migration holds the lock, naming it; --force overrides', async () => {
  const { target, gate, deploy } = await migrating()
  const refused = await reset(target)
  expect(refused).toMatchObject({ code: 1, stdout: `${target.database}: ${LOCK} has is_locked = 1: left alone\n` })
  expect(refused.stderr).toMatch(/^TESTDB_MIGRATION_LOCKED: /)
  expect(refused.stderr).toMatch(/pid \d+ \(deploy, user postgres, connected for \d+ s, .*pg_advisory_lock\(42\)/)
  expect(refused.stderr).toContain('npx testdb reset --force')
  expect(await lockRows(target)).toEqual([{ is_locked: 1 }])

  expect(await reset(target, '--force')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('had is_locked = 1: healed'),
  })
  expect(await lockRows(target)).toEqual([{ is_locked: 0 }])
  await finish(gate, deploy)
})

test('--wait waits for the holder', async () => {
  const { target, gate, deploy } = await migrating()
  const waiting = lab.start(['reset', '--url', formatUrl(target), '--wait', '30'], { cwd: project.root })
  await waiting.says(`waiting for the lock of ${LOCK}, held by pid`)
  await finish(gate, deploy)
  expect(await waiting.ended).toMatchObject({
    code: 0,
    stdout: `${target.database}: ${LOCK} had is_locked = 1 and is fine now\n`,
  })
})
