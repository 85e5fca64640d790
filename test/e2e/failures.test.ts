/** Migrations and seeds that throw, and runs that are killed. */
import { afterAll, describe, expect, test } from 'vitest'
import { LOCK_SPACE } from '../../src/postgres/index.ts'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig, writingTest } from './files.ts'
import {
  expectExit,
  expectNothingLeft,
  type Files,
  makeProject,
  outcomeOf,
  type Project,
  runIn,
  startIn,
} from './project.ts'
import { inventory } from './servers.ts'

const readsNotes = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
test('reads', async ({ db }) => {
  expect((await db.query('select * from notes')).rows).toEqual([])
})
`

/** Lets the leader's build last until a second run has come to wait for it. */
const waitsForSecondRun = `do $$ begin
  for i in 1..200 loop
    exit when (select count(*) from pg_locks where locktype = 'advisory' and classid = ${LOCK_SPACE.run} and objsubid = 2) > 1;
    perform pg_sleep(0.1);
  end loop;
  perform pg_sleep(1);
end $$;`

test('a migration that throws: the leader and who waited for it say which, why and where', async () => {
  const project = await makeProject('broken-migration', {
    ...SQL_MIGRATIONS,
    ...vitestConfig(),
    'a.test.js': readsNotes,
    'migrations/003_wait.sql': waitsForSecondRun,
    'migrations/004_broken.sql': 'create table tags (body text);\ninsert into tagz (body)\n  values (1);\n',
  })

  const outcomes = await Promise.all([1, 2].map(() => runIn(project, 'vitest', ['run'])))

  for (const outcome of outcomes) {
    expectExit(outcome, 1)
    expect(outcome.output).toContain(
      'TESTDB_MIGRATION_FAILED: migration 004_broken.sql failed: relation "tagz" does not exist (SQLSTATE 42P01)',
    )
    expect(outcome.output).toContain('line 2, column 13: insert into tagz (body)')
    expect(outcome.output).toContain('Correct the migration')
    expect(outcome.output).not.toContain('✓')
  }
  const { templates } = await inventory({ projectRoot: project.root })
  expect(templates).toEqual([expect.objectContaining({ state: 'failed', attempt: 1 })])
  expect(outcomes.filter(({ output }) => output.includes('reported by the leader'))).toHaveLength(1)

  project.write({ 'migrations/004_broken.sql': 'create table tags (body text);' })
  project.remove('migrations/003_wait.sql')
  expectExit(await runIn(project, 'vitest', ['run']), 0)
  await expectNothingLeft(project)
})

test('a seed that throws', async () => {
  const project = await makeProject('broken-seed', {
    ...SQL_MIGRATIONS,
    ...vitestConfig(),
    'a.test.js': readsNotes,
    'testdb.config.ts': `import { defineConfig } from 'testdb'
const seed: string = 'seeds/teams.sql'
export default defineConfig({ seed })
`,
    'seeds/teams.sql': `insert into teams (name) values ('red');`,
  })

  const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)

  expect(outcome.output).toContain('TESTDB_SEED_FAILED')
  expect(outcome.output).toContain('teams.sql')
  expect(outcome.output).toContain('duplicate key value violates unique constraint')

  project.write({ 'seeds/teams.sql': `insert into teams (name) values ('green');` })
  expectExit(await runIn(project, 'vitest', ['run']), 0)
  await expectNothingLeft(project)
})

test('a migration that ends the process is a failure, not a green run without tests', async () => {
  const project = await makeProject('exiting', {
    ...vitestConfig(),
    'a.test.js': readsNotes,
    'migrations/001_notes.js': `export const up = () => process.exit(0)
export const down = () => undefined
`,
  })

  const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)

  expect(outcome.output).toContain(
    'testdb: the process ended itself with code 0 while migration 001_notes.js was running; no test was run',
  )
})

test('PGSSLMODE, which is meant for other servers, does not keep anybody from the embedded one', async () => {
  const project = await makeProject('sslmode', {
    ...NOTE_ESM,
    ...SQL_MIGRATIONS,
    ...vitestConfig(),
    'a.test.js': writingTest('a'),
  })
  const strict = { env: { PGSSLMODE: 'require' } }
  expectExit(await runIn(project, 'vitest', ['run']), 0)
  const before = await inventory({ projectRoot: project.root })
  const outcome = expectExit(await runIn(project, 'vitest', ['run'], strict), 0)
  expect(outcome.output).not.toContain('started embedded')
  expect((await inventory({ projectRoot: project.root })).templates).toEqual(before.templates)
  await expectNothingLeft(project)
})

/** With SLOW, the second migration or the test does not end, and says when it has begun. */
const slow: Files = {
  ...NOTE_ESM,
  ...vitestConfig(),
  'migrations/001_notes.js': `export const up = (knex) => knex.schema.createTable('notes', (table) => { table.increments(); table.text('body') })
export const down = () => undefined
`,
  'migrations/002_tags.js': `import { note } from '../note.js'
export async function up(knex) {
  await knex.schema.createTable('tags', (table) => table.increments())
  note({ migrating: process.env.SLOW ?? 'quickly' })
  if (process.env.SLOW === 'migration') await knex.raw('select pg_sleep(60)')
}
export const down = () => undefined
`,
  'a.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('writes', async ({ db }) => {
  expect((await db.query("insert into notes (body) values ('x') returning id")).rows).toEqual([{ id: 1 }])
  note({ testing: db.name })
  if (process.env.SLOW === 'test') await db.query("insert into notes (body) select 'late' from pg_sleep(60)")
}, 60_000)
`,
}

describe('a run that is killed', () => {
  let running: ReturnType<typeof startIn> | undefined
  afterAll(() => void running?.kill('SIGKILL'))

  async function killed(project: Project, during: 'migration' | 'test', signal: NodeJS.Signals): Promise<void> {
    running = startIn(project, 'vitest', ['run'], { env: { SLOW: during } })
    const begun = (): boolean =>
      project
        .notes<{ migrating?: string; testing?: string }>()
        .some((note) => (during === 'test' ? note.testing : note.migrating === during))
    await expect.poll(begun, { timeout: 30_000 }).toBe(true)
    running.kill(signal)
    const outcome = outcomeOf(await running)
    expect(outcome.exitCode, outcome.output).not.toBe(0)
    project.clearNotes()
  }

  test.each<NodeJS.Signals>(['SIGINT', 'SIGTERM', 'SIGKILL'])('by %s', async (signal) => {
    const project = await makeProject(`killed-${signal.toLowerCase()}`, slow)

    await killed(project, 'migration', signal)
    const afterMigration = expectExit(await runIn(project, 'vitest', ['run']), 0)
    expect(afterMigration.stderr).toContain('taking over')
    expect(project.notes()).toEqual([{ migrating: 'quickly' }, { testing: expect.stringMatching(/^testdb_/) }])
    await expectNothingLeft(project)

    await killed(project, 'test', signal)
    expectExit(await runIn(project, 'vitest', ['run']), 0)
    expect(project.notes()).toHaveLength(1)
    await expectNothingLeft(project)
    expect((await inventory({ projectRoot: project.root })).databases.length).toBeLessThanOrEqual(2)
  })
})
