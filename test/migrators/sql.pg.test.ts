import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqlMigrator } from '../../src/migrators/index.ts'
import { load, migrate, rows } from '../helpers/migrate.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { failureOf } from './migrator-contract.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.stop())

test('runs files in plain name order, without .down.sql', async () => {
  using project = projectFolder({
    'db/10.sql': 'select 1',
    'db/2.sql': 'select 1',
    'db/2.down.sql': 'syntax error',
    'db/readme.md': '',
    'db/B.up.sql': '',
    'db/a.sql': '\uFEFFcreate table a (id int)',
  })
  const migrator = await load(sqlMigrator({ directory: 'db', tableName: 'log', schemaName: 'ops' }), project.root)
  const target = await server.createDatabase()
  expect((await migrate(migrator, target)).applied).toEqual(['10.sql', '2.sql', 'B.up.sql', 'a.sql'])
  expect(await rows(target, 'select count(*)::int as n from ops.log')).toEqual([{ n: 4 }])
})

test('a file is one transaction, unless its first line says otherwise', async () => {
  using project = projectFolder({ 'migrations/1.sql': 'create table a (id int); select * from nowhere;' })
  const target = await server.createDatabase()
  const error = await failureOf(migrate(await load(sqlMigrator(), project.root), target))
  expect(error.message).toContain('file: migrations/1.sql:1:40')
  expect(await rows(target, "select to_regclass('a') as a")).toEqual([{ a: null }])
  project.write({
    'migrations/1.sql': 'create table a (id int);',
    'migrations/2.sql': '-- testdb: no transaction\r\ncreate index concurrently i on a (id);',
  })
  expect((await migrate(await load(sqlMigrator(), project.root), target)).applied).toEqual(['1.sql', '2.sql'])
  expect((await migrate(await load(sqlMigrator(), project.root), target)).applied).toEqual([])
})

test('settings and roles that a file leaves behind do not reach the next one', async () => {
  using project = projectFolder({
    'migrations/1.sql': `select set_config('search_path', '', false); create role some_role; set role some_role; set lock_timeout = 1`,
    'migrations/2.sql': `create table t as select current_user::text as who, current_setting('lock_timeout') as wait`,
  })
  const target = await server.createDatabase()
  await migrate(await load(sqlMigrator(), project.root), target, { lockTimeoutMs: 1234 })
  expect(await rows(target, 'select * from t')).toEqual([{ who: 'postgres', wait: '1234ms' }])
})

test('a file that was changed after it had run is named', async () => {
  using project = projectFolder({ 'migrations/1.sql': 'create table a (id int);\n' })
  const target = await server.createDatabase()
  await migrate(await load(sqlMigrator(), project.root), target)
  project.write({ 'migrations/1.sql': 'create table a (id int);\r\n' })
  expect((await migrate(await load(sqlMigrator(), project.root), target)).applied).toEqual([])
  project.write({ 'migrations/1.sql': 'create table a (id bigint);\n' })
  const error = await failureOf(migrate(await load(sqlMigrator(), project.root), target))
  expect(error.message).toContain('migration 1.sql failed: it was changed after it had run')
})

test('an error at commit, and one in a later line, are told apart', async () => {
  using project = projectFolder({
    'migrations/1.sql':
      'create table p (id int primary key); create table c (p int references p deferrable initially deferred); insert into c values (1)',
  })
  const target = await server.createDatabase()
  const error = await failureOf(migrate(await load(sqlMigrator(), project.root), target))
  expect(error.details).toMatchObject({ sqlstate: '23503', position: null, file: 'migrations/1.sql' })
  project.write({ 'migrations/1.sql': "select 'äöü😀';\r\n  select nope;\r\n" })
  const second = await failureOf(migrate(await load(sqlMigrator(), project.root), target))
  expect(second.details).toMatchObject({ sqlstate: '42703', position: { line: 2, column: 10 } })
  expect(second.message).toContain('line 2, column 10: select nope;')
})

test('no folder and no files say where it looked', async () => {
  using project = projectFolder({ 'empty/1.down.sql': '' })
  await expect(load(sqlMigrator(), project.root)).rejects.toMatchObject({ code: 'TESTDB_MIGRATIONS_EMPTY' })
  await expect(load(sqlMigrator({ directory: 'empty' }), project.root)).rejects.toThrow('no .sql files in empty')
})
