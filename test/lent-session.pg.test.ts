/** A script's databases are acquired in the session of its run, where that is free. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestDbConfig } from '../src/config/config.ts'
import { createTestDb } from '../src/create-test-db.ts'
import { sqlMigrator } from '../src/migrators/index.ts'
import { formatUrl, Session, withSession } from '../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from './helpers/private-postgres.ts'
import { type ProjectFolder, projectFolder } from './helpers/project-folder.ts'
import { eventually, within } from './helpers/wait.ts'

let server: PrivatePostgres
let project: ProjectFolder
let admin: Session
beforeAll(async () => {
  server = await startPrivatePostgres()
  await withSession(server.admin, { applicationName: 'test' }, (session) => session.query('create database lend_test'))
  admin = await Session.open({ ...server.admin, database: 'lend_test' }, { applicationName: 'test' })
  project = projectFolder(
    { 'package.json': '{"name":"lend"}', 'migrations/1.sql': 'create table t (id int)' },
    { packages: [] },
  )
})
afterAll(async () => {
  await admin?.close()
  project?.[Symbol.dispose]()
  await server?.stop()
})

const start = (more: TestDbConfig = {}): ReturnType<typeof createTestDb> =>
  createTestDb({
    server: { kind: 'url', url: formatUrl({ ...server.admin, database: 'lend_test' }) },
    migrator: sqlMigrator({ directory: `${project.root}/migrations` }),
    ...more,
  })

/** How many sessions of the maintenance database were opened for coordination, ever. */
async function coordinating(): Promise<number> {
  const log = await readFile(`${server.home}/log`, 'utf8')
  return log.match(/connection authorized: .*database=lend_test application_name=testdb coordination/g)?.length ?? 0
}

test('one database is acquired in the session of the run, two at once need another', async () => {
  await admin.query('alter system set log_connections = on')
  await admin.query('select pg_reload_conf()')
  await eventually('connections are logged', async () => {
    await withSession(admin.target, { applicationName: 'testdb coordination' }, async () => undefined)
    return (await coordinating()) > 0
  })
  await using testdb = await start()
  const before = await coordinating()
  const first = await testdb.acquire()
  expect(await coordinating()).toBe(before)
  const [second, third] = await Promise.all([testdb.acquire(), testdb.acquire()])
  expect(await coordinating()).toBeGreaterThan(before)
  expect(new Set([first.name, second.name, third.name]).size).toBe(3)
})

test('what was locked for a clone in it is unlocked: a fresh clone can take its place', async () => {
  await using testdb = await start({ reset: 'clone' })
  const database = await testdb.acquire()
  await database.query('insert into t values (1)')
  await within('it is put back', database.reset())
  expect((await database.query('select from t')).rowCount).toBe(0)
})

test('who acquires in the moment in which the session is cut gets a database all the same', async () => {
  await using testdb = await start()
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'testdb coordination' and datname = current_database()`,
  )
  const database = await testdb.acquire()
  expect((await database.query('select from t')).rowCount).toBe(0)
})

test('an acquire that is under way when everything is closed leaves nothing, and none begins later', async () => {
  const testdb = await start()
  const acquiring = testdb.acquire().catch(() => undefined)
  const closing = testdb.close()
  await expect(testdb.acquire()).rejects.toMatchObject({ code: 'TESTDB_LEASE_LOST' })
  await closing
  await acquiring
  await expect(testdb.acquire()).rejects.toMatchObject({ code: 'TESTDB_LEASE_LOST' })
  const { rows } = await admin.query(
    `select application_name from pg_stat_activity where application_name like 'testdb%'`,
  )
  expect(rows).toEqual([])
})
