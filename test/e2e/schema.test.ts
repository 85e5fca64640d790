/** `isolation: 'schema'` with real runners, as a role that may create schemas and no databases. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ConnectionTarget, formatUrl, withSession } from '../../src/postgres/index.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { KNEX_CJS, NOTE_CJS, vitestConfig } from './files.ts'
import { expectExit, type Files, makeProject, runIn } from './project.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server?.stop())

async function place(name: string): Promise<{ url: string; ask<R>(sql: string): Promise<R[]> }> {
  const admin: ConnectionTarget = { ...server.admin, database: name }
  await withSession(server.admin, { applicationName: 'e2e test' }, async (session) => {
    await session.query(`create role ${name}_plain login`)
    await session.query(`create database ${name}`)
    await session.query(`grant create on database ${name} to ${name}_plain`)
  })
  const ask = async <R>(sql: string): Promise<R[]> =>
    (
      await withSession(admin, { applicationName: 'e2e test' }, (session) =>
        session.query<R & Record<string, unknown>>(sql),
      )
    ).rows
  await ask(`create schema theirs`)
  await ask(`create table theirs.teams as select 1 as id, 'foreign' as name`)
  return { url: formatUrl({ ...admin, user: `${name}_plain` }), ask }
}

const THEIRS = `select (select json_agg(t) from theirs.teams t) as rows,
  (select json_agg(c.xmin order by c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname = 'theirs') as catalog`

interface Note {
  readonly file?: string
  readonly schema?: string
  readonly migrated?: number
}

const counting = (files: Files): Files => ({
  ...files,
  'migrations/000_count.js': `exports.up = async (knex) => { require('../note.cjs').note({ migrated: 1 }) }
exports.down = () => undefined\n`,
})

test('Vitest: four files, two workers, and the next run migrates nothing', async () => {
  const { url, ask } = await place('vitest_test')
  const testFile = (name: string): string => `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'
import { note } from './note.cjs'
for (const round of [1, 2]) test('${name} ' + round, async ({ db }) => {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  const bare = new pg.Client()
  await bare.connect()
  const { rows } = await client.query('select current_schema() as schema, (select count(*)::int from teams) as teams')
  expect(rows[0].teams).toBe(2)
  expect((await bare.query('select current_schema() as schema')).rows[0].schema).toBe(rows[0].schema)
  expect((await db.knex()('teams').insert({ name: 'green' }).returning('id'))[0].id).toBe(3)
  await client.query("delete from teams where name = 'red'")
  note({ file: '${name}', schema: rows[0].schema })
  await client.end()
  await bare.end()
})
`
  const project = await makeProject('schema-vitest', {
    ...counting(KNEX_CJS),
    'package.json': '{"name":"shop"}',
    'note.cjs': NOTE_CJS['note.js'] ?? '',
    ...vitestConfig(`globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], maxWorkers: 2`),
    ...Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [`${name}.test.mjs`, testFile(name)])),
  })
  const env = { TESTDB_URL: url, TESTDB_ISOLATION: 'schema' }
  const before = await ask(THEIRS)
  expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)
  const first = project.notes<Note>()
  expect(first.filter(({ migrated }) => migrated)).toHaveLength(2)
  expect(first.filter(({ file }) => file)).toHaveLength(8)
  const schemas = new Set(first.flatMap(({ schema }) => schema ?? []))
  for (const schema of schemas) expect(schema).toMatch(/^testdb_shop_\d+$/)
  expect(schemas.size).toBeLessThanOrEqual(2)

  expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)
  expect(project.notes<Note>().filter(({ migrated }) => migrated)).toHaveLength(2)

  const status = expectExit(await runIn(project, 'testdb', ['status'], { env }), 0)
  expect(status.stdout).toMatch(/schemas \(2\)\n {2}testdb_shop_\d+ · shop [0-9a-f]{8} · idle/)
  const run = await runIn(project, 'testdb', ['run', '--', 'node', '-e', RUN], { env })
  expect(expectExit(run, 0).stdout).toContain('2 teams in testdb_shop_')
  expect(project.notes<Note>().filter(({ migrated }) => migrated)).toHaveLength(2)
  const prune = expectExit(await runIn(project, 'testdb', ['prune', '--keep-days', '0'], { env }), 0)
  expect(prune.stdout).toMatch(/removed testdb_shop_/)
  expect(await ask(`select from pg_namespace where nspname like 'testdb\\_%'`)).toEqual([])
  expect(await ask(THEIRS)).toEqual(before)
})

const RUN = `const pg = require('pg'); (async () => { const c = new pg.Client(process.env.DATABASE_URL); await c.connect()
const { rows } = await c.query('select current_schema() as s, (select count(*)::int from teams) as n'); console.log(rows[0].n + ' teams in ' + rows[0].s); await c.end() })()`

test('Jest: three files and two workers', async () => {
  const { url, ask } = await place('jest_test')
  const testFile = (name: string): string => `const pg = require('pg')
const { note } = require('./note.js')
for (const round of [1, 2]) test('${name} ' + round, async () => {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  const { rows } = await client.query('select current_schema() as schema, (select count(*)::int from teams) as teams')
  expect(rows[0].teams).toBe(2)
  await client.query("insert into teams (name) values ('green')")
  note({ file: '${name}', schema: rows[0].schema })
  await client.end()
})
`
  const project = await makeProject('schema-jest', {
    ...KNEX_CJS,
    ...NOTE_CJS,
    'package.json': '{"name":"shop"}',
    'jest.config.js': `module.exports = { preset: 'testdb', maxWorkers: 2 }\n`,
    ...Object.fromEntries(['a', 'b', 'c'].map((name) => [`${name}.test.js`, testFile(name)])),
  })
  const before = await ask(THEIRS)
  expectExit(await runIn(project, 'jest', [], { env: { TESTDB_URL: url, TESTDB_ISOLATION: 'schema' } }), 0)
  const notes = project.notes<Note>()
  expect(notes).toHaveLength(6)
  for (const { schema } of notes) expect(schema).toMatch(/^testdb_shop_\d+$/)
  expect(await ask(THEIRS)).toEqual(before)
})
