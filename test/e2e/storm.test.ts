/** Many processes meet a project whose template is not there, then one that is. */
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { NOTE_ESM, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, runIn } from './project.ts'
import { inventory } from './servers.ts'

const MIGRATIONS = 150
const PROCESSES = 8

const migrationName = (index: number): string => `${String(index).padStart(4, '0')}_step.js`

/** Each migration takes its time and says outside of the database that it was run. */
const slowMigration = (index: number): string => `import { appendFileSync } from 'node:fs'
export async function up(knex) {
  await knex.raw('select pg_sleep(0.08)')
  await knex.schema.createTable('step_${index}', (table) => table.increments())
  appendFileSync(process.env.MIGRATED, '${migrationName(index)}\\n')
}
export const down = () => undefined
`

const migrations: Files = Object.fromEntries(
  Array.from({ length: MIGRATIONS }, (_, index) => [`migrations/${migrationName(index)}`, slowMigration(index)]),
)

const suite = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'

for (const round of [1, 2]) {
  test('writes ' + round, async ({ db }) => {
    expect((await db.query('insert into step_${MIGRATIONS - 1} default values returning id')).rows).toEqual([{ id: 1 }])
    note({ database: db.name })
  })
}
`

test(`${PROCESSES} runs at once migrate once, the next one not at all`, async () => {
  const project = await makeProject('storm', {
    ...migrations,
    ...NOTE_ESM,
    ...vitestConfig(),
    'knexfile.js': `export default { client: 'pg', migrations: { directory: './migrations' } }\n`,
    'a.test.js': suite,
  })
  const migrated = path.join(project.root, '..', 'storm-migrated.txt')
  const env = { MIGRATED: migrated }
  const place = { projectRoot: project.root }
  rmSync(migrated, { force: true })

  const runs = Array.from({ length: PROCESSES }, () => runIn(project, 'vitest', ['run'], { env }))
  const outcomes = await Promise.all(runs)

  for (const outcome of outcomes) expectExit(outcome, 0)
  const expected = Array.from({ length: MIGRATIONS }, (_, index) => migrationName(index))
  expect(readFileSync(migrated, 'utf8').trimEnd().split('\n')).toEqual(expected)
  const all = outcomes.map(({ stderr }) => stderr).join('\n')
  expect(all.match(/started embedded PostgreSQL/g)).toHaveLength(1)
  expect(all.match(/built template .*: 150 migrations/g)).toHaveLength(1)
  expect(all).toMatch(/waiting for pid \d+ on .* · migration \d+\/150 \d{4}_step\.js/)
  const before = await inventory(place)
  expect(before.templates).toEqual([expect.objectContaining({ state: 'sealed', attempt: 1 })])
  await expectNothingLeft(project)

  project.clearNotes()
  const warm = expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)

  expect(warm.stderr).not.toContain('built template')
  expect(readFileSync(migrated, 'utf8').trimEnd().split('\n')).toHaveLength(MIGRATIONS)
  expect(await inventory(place)).toEqual(before)
  expect(before.databases.map(({ name }) => name)).toContain(project.notes<{ database: string }>()[0]?.database)
})
