/** A server full of other people's things: before and after all that testdb can do there they are the same. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestDbConfig } from '../../src/index.ts'
import { formatUrl, type Session, withSession } from '../../src/postgres/index.ts'
import { type CliLab, openCliLab } from '../cli/lab.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { type Snapshot, snapshotDatabase } from '../helpers/snapshot.ts'
import { execute } from '../helpers/world.ts'
import { runOn } from './by-url.ts'

/** Names as testdb gives them prove nothing: only what is in the registry too is its own. */
const DATABASES = [
  'shop',
  'shop_production',
  'testdb',
  'testdb_t_0123456789abcdef',
  'testdb_s_1_1_abcdef01',
  'testdb_testdb__1',
  'testdb_testdb__app_test_1',
]
const CONTENT = `
  create table customers (id serial primary key, name text); insert into customers (name) values ('Ada'), ('Grace');
  create schema billing; create table billing.invoices (total numeric); insert into billing.invoices values (1), (2);
  create function billing.double(n int) returns int language sql as 'select 2 * n';
  create table knex_migrations_lock (index int, is_locked int); insert into knex_migrations_lock values (1, 0)`

let server: PrivatePostgres
let lab: CliLab
beforeAll(async () => {
  server = await startPrivatePostgres()
  const { admin } = server
  for (const sql of [
    'create role alice login createdb',
    'create role bob',
    'grant alice to bob',
    `create role testdb login superuser password 'theirs'`,
  ]) {
    await execute(admin, sql)
  }
  for (const name of [...DATABASES, 'app_test']) {
    await execute(admin, `create database ${name} template template0 owner alice`)
    await execute({ ...admin, database: name }, CONTENT)
  }
  await execute(admin, 'alter database shop set timezone = "Asia/Tokyo"; alter role bob set work_mem = "5MB"')
  await execute(admin, 'alter database testdb_t_0123456789abcdef with is_template true allow_connections false')
  lab = await openCliLab()
}, 120_000)
afterAll(async () => {
  await lab?.close()
  await server?.stop()
})

/** Everything but what the registry says is testdb's: whole databases, roles, settings, grants, and content. */
async function everything(): Promise<Record<string, unknown>> {
  const { admin } = server
  const look = async (session: Session): Promise<Record<string, unknown>> => {
    const rows = async (sql: string): Promise<unknown[]> => (await session.query(sql)).rows
    return {
      databases: await rows(
        `select d.oid::int, datname, datdba::regrole::text, datistemplate, datallowconn, datconnlimit, datacl::text, shobj_description(d.oid, 'pg_database') as said
           from pg_database d where datname = any ('{${[...DATABASES, 'app_test', 'postgres', 'template0', 'template1'].join()}}') order by 2`,
      ),
      roles:
        await rows(`select oid::int, rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolpassword, rolconnlimit
                           from pg_authid where rolname <> 'testdb_tests' order by 2`),
      members: await rows('select roleid::int, member::int, admin_option from pg_auth_members order by 1, 2'),
      settings: await rows('select setdatabase::int, setrole::int, setconfig from pg_db_role_setting order by 1, 2'),
    }
  }
  const found = await withSession(admin, { applicationName: 'test' }, look)
  const contents: Record<string, Snapshot> = {}
  for (const name of [...DATABASES, 'app_test'].filter((one) => one !== 'testdb_t_0123456789abcdef')) {
    const content = await withSession({ ...admin, database: name }, { applicationName: 'test' }, snapshotDatabase)
    contents[name] = { ...content, triggers: content.triggers.filter((one) => !one.includes(' on testdb.')) }
  }
  return { ...found, contents }
}

const names = async (): Promise<string[]> =>
  withSession(server.admin, { applicationName: 'test' }, async (session) => {
    const { rows } = await session.query<{ name: string }>('select datname as name from pg_database order by 1')
    return rows.map(({ name }) => name)
  })

test('runs with every strategy and scope, prune and reset --all leave the rest of the server as it is', async () => {
  const url = formatUrl({ ...server.admin, database: 'app_test' })
  const before = await everything()
  const all = await names()
  const options: TestDbConfig[] = [
    ...(['rows', 'truncate', 'rollback', 'clone', 'none'] as const).map((reset) => ({ reset })),
    { scope: 'test' },
    { keepOnFailure: true, scope: 'file' },
  ]
  for (const one of options) {
    await runOn(
      url,
      async (db) => {
        expect(DATABASES).not.toContain(db.name)
        await db.query(`insert into items (name) values ('x')`)
        await db.reset()
      },
      one,
    )
  }
  expect((await names()).length).toBeGreaterThan(all.length)
  expect(await everything()).toEqual(before)

  const project = lab.project(
    { 'package.json': '{"name":"testdb"}', 'knexfile.js': `module.exports = { client: 'pg' }` },
    ['knex'],
  )
  const env = { TESTDB_URL: url }
  for (const args of [['status'], ['doctor'], ['reset', '--all'], ['prune', '--keep-days', '0']]) {
    const { code, stderr } = await lab.cli(args, { cwd: project.root, env })
    if (args[0] !== 'doctor') expect(code, `${args.join(' ')}: ${stderr}`).toBe(0)
  }
  expect(await everything()).toEqual(before)
  // And of testdb's own nothing is left, but the registry and its role.
  expect(await names()).toEqual(all)
}, 180_000)
