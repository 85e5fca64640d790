/** Files that many of the tests' projects share. */
import type { Files } from './project.ts'

/** A table with seeds whose sequence has moved, and an empty one that refers to it. */
export const SQL_MIGRATIONS: Files = {
  'migrations/001_teams.sql': `create table teams (id int generated always as identity primary key, name text not null unique);
insert into teams (name) values ('red'), ('blue');`,
  'migrations/002_notes.sql': `create table notes (id int generated always as identity primary key, team_id int references teams, body text not null);`,
}

/** `note({ … })` from './note.js' reports a fact to the test outside. */
export const NOTE_ESM: Files = {
  'note.js': `import { appendFileSync } from 'node:fs'
export const note = (fact) => appendFileSync(process.env.NOTES, JSON.stringify(fact) + '\\n')
`,
}
export const NOTE_CJS: Files = {
  'note.js': `const { appendFileSync } = require('node:fs')
exports.note = (fact) => appendFileSync(process.env.NOTES, JSON.stringify(fact) + '\\n')
`,
}

export const VITEST_WIRING = `globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup']`

export const vitestConfig = (test = VITEST_WIRING): Files => ({
  'vitest.config.js': `export default { test: { ${test} } }\n`,
})

/** Two tests that write the same rows: green only when the database is put back in between and nobody else uses it. */
export const writingTest = (name: string): string => `import { afterAll, expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'
import { note } from './note.js'

const url = process.env.DATABASE_URL
const pool = new pg.Pool({ connectionString: url, max: 2 })
pool.on('error', () => undefined)
afterAll(() => pool.end())

for (const round of [1, 2]) {
  test('${name} ' + round, async ({ db }) => {
    expect(db.url).toBe(url)
    const before = await pool.query('select (select count(*)::int from notes) as notes, (select count(*)::int from teams) as teams')
    expect(before.rows).toEqual([{ notes: 0, teams: 2 }])
    const team = await pool.query("insert into teams (name) values ('green') returning id")
    expect(team.rows).toEqual([{ id: 3 }])
    const written = await db.query("insert into notes (team_id, body) values (3, '${name}') returning id")
    expect(written.rows).toEqual([{ id: 1 }])
    note({ file: '${name}', round, database: db.name, pid: process.pid, pool: process.env.VITEST_POOL_ID })
  })
}
`

export const KNEX_CJS: Files = {
  'knexfile.js': `module.exports = { client: 'pg', migrations: { directory: './migrations' }, seeds: { directory: './seeds' } }\n`,
  'migrations/001_teams.js': `exports.up = async (knex) => {
  await knex.schema.createTable('teams', (table) => { table.increments(); table.text('name').notNullable().unique() })
  await knex('teams').insert([{ name: 'red' }, { name: 'blue' }])
}
exports.down = (knex) => knex.schema.dropTable('teams')
`,
  'migrations/002_notes.js': `exports.up = (knex) => knex.schema.createTable('notes', (table) => {
  table.increments(); table.integer('team_id').references('teams.id'); table.text('body').notNullable()
})
exports.down = (knex) => knex.schema.dropTable('notes')
`,
}
