/** `reset: 'rollback'` in real suites: what goes through `db` is rolled back, what other pools wrote goes with the file. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, runIn } from './project.ts'

/** The same for both runners. `db` is given by the test's own way to it; ids show that sequences move on within a file. */
const body = `
const work = async (db, name) => {
  const { rows } = await db.query('select array(select name from teams order by id) as teams, (select count(*)::int from notes) as notes')
  await db.knex().transaction(async (trx) => {
    await trx('notes').insert({ team_id: 1, body: name })
    await trx.transaction((inner) => inner('teams').insert({ name: 'red' })).catch(() => undefined)
  })
  await db.query("update teams set name = 'changed'").catch(() => undefined)
  await db.query('create table made (n int)')
  const written = await db.query("insert into teams (name) values ('new') returning id")
  const inside = await db.query('select count(*)::int as n from notes')
  const outside = await pool.query('select count(*)::int as n from notes')
  note({ name, ...rows[0], teamId: written.rows[0].id, inside: inside.rows[0].n, outside: outside.rows[0].n })
}
`
const found = (name: string, teamId: number, teams = ['red', 'blue']): object => ({
  name,
  teams,
  notes: 0,
  teamId,
  inside: 1,
  outside: 0,
})
// Each test takes two: one for the duplicate, one for the new team.
const EXPECTED = [
  found('first', 4),
  found('second', 6),
  found('third', 9, ['red', 'blue', 'elsewhere']),
  found('fourth', 11, ['red', 'blue', 'elsewhere']),
]
const file = (tests: string): string => `
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
${body}
${tests}`

const vitestFile = `import { afterAll } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'
import { note } from './note.js'
${file(`
test('first', ({ db }) => work(db, 'first'))
test('second', ({ db }) => work(db, 'second'))
test('outside', () => pool.query("insert into teams (name) values ('elsewhere')"))
test('third', ({ db }) => work(db, 'third'))
test('fourth', ({ db }) => work(db, 'fourth'))
`)}`

test('vitest', async () => {
  const project = await makeProject('rollback-vitest', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'testdb.config.ts': `import { defineConfig } from 'testdb'
export default defineConfig({ reset: 'rollback' })
`,
    'a.test.js': vitestFile,
    'b.test.js': vitestFile,
  })
  for (const args of [[], ['--no-isolate', '--no-file-parallelism'], ['--no-file-parallelism']]) {
    project.clearNotes()
    const { output } = expectExit(await runIn(project, 'vitest', ['run', ...args]), 0)
    expect(output).not.toMatch(/rolled back|ended|replaced/)
    const notes = project.notes<Record<string, unknown>>()
    for (const expected of EXPECTED) expect(notes, args.join()).toContainEqual(expected)
    expect(notes).toHaveLength(8)
  }
  await expectNothingLeft(project)
})

test('jest: pools are outside, and the next file finds the migrated state', async () => {
  const project = await makeProject('rollback-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    'package.json': { name: 'rollback-jest', private: true, jest: { preset: 'testdb' }, testdb: { reset: 'rollback' } },
    'a.test.js': `const pg = require('pg')
const { note } = require('./note.js')
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
for (const round of [1, 2]) {
  test('round ' + round, async () => {
    await pool.query("insert into teams (name) values ('round ' || $1)", [round])
    note({ database: process.env.PGDATABASE, teams: (await pool.query('select from teams')).rowCount })
  })
}
`,
    'b.test.js': `const pg = require('pg')
const { note } = require('./note.js')
test('the next file', async () => {
  const client = new pg.Client(process.env.DATABASE_URL)
  await client.connect()
  const { rows } = await client.query("insert into teams (name) values ('x') returning id, (select count(*)::int from teams) as before")
  note({ database: process.env.PGDATABASE, ...rows[0] })
  await client.end()
})
`,
  })
  expectExit(await runIn(project, 'jest', ['a.test']), 0)
  expectExit(await runIn(project, 'jest', ['b.test']), 0)
  const [first] = project.notes()
  const { database } = first as { database: string }
  expect(project.notes()).toEqual([
    { database, teams: 3 },
    { database, teams: 4 },
    { database, id: 3, before: 2 },
  ])
  await expectNothingLeft(project)
})

test('a script without a runner', async () => {
  const project = await makeProject('rollback-script', {
    ...SQL_MIGRATIONS,
    'script.mjs': `import { createTestDb } from 'testdb'
const testdb = await createTestDb({ reset: 'rollback' })
const db = await testdb.acquire()
const teams = []
for (const _round of [1, 2]) {
  await db.knex()('teams').insert({ name: 'mine' })
  teams.push((await db.query('select from teams')).rowCount)
  await db.reset()
}
await db.query('delete from notes')
console.log(JSON.stringify(teams))
await testdb.close()
`,
  })
  const { stdout } = expectExit(await runIn(project, 'node', ['script.mjs'], { timeout: 20_000 }), 0)
  expect(JSON.parse(stdout)).toEqual([3, 3])
  await expectNothingLeft(project)
})
