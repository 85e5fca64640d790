/** Who shares a database: the files of a worker, the tests of a file, or nobody. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, VITEST_WIRING, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, type Project, runIn } from './project.ts'
import { inventory } from './servers.ts'

interface Note {
  readonly file: string
  readonly test: string
  readonly database: string
  readonly url: string
  readonly rows: number
}

/** Clones that the registry still has when the run is over. */
const databasesOf = async ({ root }: Project): Promise<readonly unknown[]> =>
  (await inventory({ projectRoot: root })).databases

const names = (notes: readonly Note[]): number => new Set(notes.map(({ database }) => database)).size

const fixtureFile = (file: string): string => `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
for (const round of [1, 2, 3]) {
  test('round ' + round, async ({ db }) => {
    await db.query("insert into notes (body) values ('x')")
    const { rows } = await db.query('select count(*)::int as n from notes')
    note({ file: '${file}', test: round, database: db.name, url: process.env.DATABASE_URL, rows: rows[0].n })
  })
}
`

const project = (name: string, scope: string, files: Files): Promise<Project> =>
  makeProject(name, {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    'testdb.config.js': `export default { scope: '${scope}' }\n`,
    ...files,
  })

test.each([
  ['file', ['run'], 2],
  ['file', ['run', '--no-isolate', '--no-file-parallelism'], 1],
  ['test', ['run'], 6],
  ['test', ['run', '--no-isolate', '--no-file-parallelism'], 6],
])('vitest, %s %j: fresh databases, and nothing is left', async (scope, args, expected) => {
  const place = await project(`scope-${scope}-${args.length}`, scope, {
    ...vitestConfig(),
    'a.test.js': fixtureFile('a'),
    'b.test.js': fixtureFile('b'),
  })
  expectExit(await runIn(place, 'vitest', args), 0)
  const notes = place.notes<Note>()
  expect(notes).toHaveLength(6)
  expect(names(notes)).toBe(expected)
  for (const { rows, url, database } of notes) {
    expect(rows).toBe(1)
    expect(new URL(url).pathname).toBe(`/${database}`)
  }
  expect(await databasesOf(place)).toEqual([])
  await expectNothingLeft(place)
})

test('vitest: tests at the same time have a database each, and only those that want one', async () => {
  const place = await project('scope-concurrent', 'test', {
    ...vitestConfig(`globalSetup: ['testdb/vitest']`),
    'a.test.js': `import { describe, expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
let together = 0
let release
const all = new Promise((resolve) => { release = resolve })
describe.concurrent('all', () => {
  for (const round of [1, 2, 3, 4]) {
    test('round ' + round, async ({ db }) => {
      if (++together === 4) release()
      await all
      await db.query("insert into notes (body) values ('x')")
      const { rows } = await db.query('select count(*)::int as n from notes')
      note({ database: db.name, rows: rows[0].n })
    })
  }
})
test('no database', () => note({ database: 'none', rows: 1, url: process.env.DATABASE_URL ?? 'none' }))
`,
  })
  expectExit(await runIn(place, 'vitest', ['run']), 0)
  const notes = place.notes<Note>()
  expect(notes.map(({ rows }) => rows)).toEqual([1, 1, 1, 1, 1])
  expect(names(notes)).toBe(5)
  expect(await databasesOf(place)).toEqual([])
  await expectNothingLeft(place)
})

test.each(['setup file', 'fixtures only'])(
  'vitest, %s: tests at the same time on one database are an error',
  async (form) => {
    const place = await project(`scope-clash-${form.length}`, 'worker', {
      ...vitestConfig(form === 'setup file' ? VITEST_WIRING : `globalSetup: ['testdb/vitest']`),
      'a.test.js': `import { test } from 'testdb/vitest/fixtures'
let second
const both = new Promise((resolve) => { second = resolve })
test.concurrent('one', async ({ db }) => { await db.query('select 1'); await Promise.race([both, new Promise((resolve) => setTimeout(resolve, 1000))]) })
test.concurrent('two', async ({ db }) => second(await db.query('select 1')))
`,
    })
    const { output } = expectExit(await runIn(place, 'vitest', ['run']), 1)
    expect(output).toContain('TESTDB_TESTS_CONCURRENT: the tests "one" and "two" run at the same time on one database')
    expect(output).toContain(`Use \`scope: 'test'\``)
    expectExit(await runIn(place, 'vitest', ['run'], { env: { TESTDB_RESET: 'none' } }), 0)
  },
)

test('jest: a database per test, per file, and none for tests at the same time', async () => {
  const place = await makeProject('scope-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    'package.json': { name: 'scope-jest', private: true, jest: { preset: 'testdb', testMatch: ['**/*.test.js'] } },
    ...Object.fromEntries(
      ['a', 'b'].map((file) => [
        `${file}.test.js`,
        `const pg = require('pg')
const { note } = require('./note.js')
for (const round of [1, 2, 3]) {
  test('round ' + round, async () => {
    const client = new pg.Client(process.env.DATABASE_URL)
    await client.connect()
    await client.query("insert into notes (body) values ('x')")
    const { rows } = await client.query('select current_database() as database, count(*)::int as rows from notes')
    await client.end()
    note({ file: '${file}', ...rows[0] })
  })
}
`,
      ]),
    ),
    'clash.test.js': `test.concurrent('one', async () => undefined)\ntest.concurrent('two', async () => undefined)\n`,
  })
  for (const [scope, expected] of [
    ['test', 6],
    ['file', 2],
  ] as const) {
    place.clearNotes()
    expectExit(await runIn(place, 'jest', ['[ab].test'], { env: { TESTDB_SCOPE: scope } }), 0)
    const notes = place.notes<Note>()
    expect(notes.map(({ rows }) => rows)).toEqual([1, 1, 1, 1, 1, 1])
    expect(names(notes), scope).toBe(expected)
    expect(await databasesOf(place), scope).toEqual([])
  }
  const { output } = expectExit(await runIn(place, 'jest', ['clash']), 1)
  expect(output).toContain('TESTDB_TESTS_CONCURRENT: the tests "one" and "two" run at the same time')
  await expectNothingLeft(place)
})
