/** `vitest --watch` on the installed package: set up once, migrations looked at again before each rerun. */
import { expect, test } from 'vitest'
import { SQL_MIGRATIONS, VITEST_WIRING, vitestConfig } from './files.ts'
import { expectNothingLeft, follow, makeProject, startIn } from './project.ts'

const FINISHED = /(PASS|FAIL) {2}(Waiting for file changes|Tests failed)[^\n]*/

const reading = (table: string, revision: number): string => `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
test('reads ${table}', async ({ db }) => {
  expect((await db.query('select count(*)::int as n from ${table}')).rows).toEqual([{ n: 0 }])
  await db.query('insert into ${table} (body) values (1)')
})
// revision ${revision}
`

/** Two projects of one folder share a run, and both look at the migrations again. */
const TWO_PROJECTS = `projects: ['one', 'two'].map((name) => ({ test: { name, ${VITEST_WIRING} } }))`

test.each([
  ['isolated', 1, VITEST_WIRING],
  ['without isolation', 1, `${VITEST_WIRING}, isolate: false`],
  ['two projects', 2, TWO_PROJECTS],
])('watch mode, %s', async (name, count, config) => {
  const passed = new RegExp(`Tests {2}${count} passed`)
  const project = await makeProject(`watch-${name.replace(' ', '-')}`, {
    ...SQL_MIGRATIONS,
    ...vitestConfig(config),
    'a.test.js': reading('notes', 1),
  })
  const watcher = follow(startIn(project, 'vitest', ['--watch', '--reporter=default']))
  const rerun = async (files: Record<string, string>): Promise<string> => {
    project.write(files)
    return watcher.until(FINISHED)
  }
  try {
    const first = await watcher.until(FINISHED)
    expect(first).toContain('built template')
    expect(first).toMatch(passed)

    const touched = await rerun({ 'a.test.js': reading('notes', 2) })
    expect(touched).toMatch(passed)
    expect(touched).not.toContain('testdb:')

    const migrated = await rerun({
      'migrations/003_tags.sql': 'create table tags (body text);',
      'a.test.js': reading('tags', 3),
    })
    expect(migrated).toMatch(/built template \w+: 3 migrations/)
    expect(migrated).toMatch(passed)

    const broken = await rerun({ 'migrations/004_broken.sql': 'create table (;', 'a.test.js': reading('tags', 4) })
    expect(broken).toContain('TESTDB_MIGRATION_FAILED: migration 004_broken.sql failed: syntax error at or near "("')
    expect(broken).toMatch(/no tests|Test Files {2}\d failed/)

    const fixed = await rerun({
      'migrations/004_broken.sql': 'create table labels (body text);',
      'a.test.js': reading('labels', 5),
    })
    expect(fixed).toMatch(passed)
    expect(watcher.output().match(/started embedded/g)).toHaveLength(1)
  } finally {
    watcher.child.kill('SIGTERM')
    await watcher.child
  }
  await expectNothingLeft(project)
})
