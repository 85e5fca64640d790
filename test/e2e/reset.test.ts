/** The reset strategies in real suites, each chosen in a TypeScript configuration. */
import { expect, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, runIn } from './project.ts'

/** What each of two equal tests finds before it writes: seeds, and where the sequences are. */
const suite = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
for (const round of [1, 2]) {
  test('round ' + round, async ({ db }) => {
    const { rows } = await db.query('select array(select name from teams order by id) as teams, (select count(*)::int from notes) as notes')
    const team = await db.query("insert into teams (name) values ('new ' || $1) returning id", [round])
    await db.query("update teams set name = 'changed ' || $1 where name = 'red'", [round])
    const written = await db.knex()('notes').insert({ team_id: 1, body: 'x' }).returning('id')
    await db.query("delete from teams where name = 'blue'")
    note({ ...rows[0], teamId: team.rows[0].id, noteId: written[0].id })
  })
}
`

const migrated = { teams: ['red', 'blue', 'seeded'], notes: 0, teamId: 4, noteId: 1 }
const after = { teams: ['changed 1', 'seeded', 'new 1'], notes: 1, teamId: 5, noteId: 2 }

test.each([
  ['truncate', migrated],
  ['clone', migrated],
  ['none', after],
])('%s', async (reset, second) => {
  const project = await makeProject(`reset-${reset}`, {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'testdb.config.ts': `import { defineConfig } from 'testdb'
import { sqlMigrator } from 'testdb/migrators'
interface Choice { readonly reset: 'truncate' | 'clone' | 'none' }
const choice: Choice = { reset: '${reset}' }
export default defineConfig({ ...choice, migrator: sqlMigrator({ directory: 'migrations' }), seed: './seeds' })
`,
    'seeds/1.sql': `insert into teams (name) values ('seeded');`,
    'a.test.js': suite,
  })

  for (const run of ['cold', 'warm']) {
    project.clearNotes()
    expectExit(await runIn(project, 'vitest', ['run']), 0)
    expect(project.notes(), run).toEqual([migrated, second])
  }
  if (reset !== 'none') await expectNothingLeft(project)
})
