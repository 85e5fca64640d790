/** Data of `beforeAll` hooks: it stays for the tests of its block, goes with the block, and is put back after each test. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, VITEST_WIRING, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, runIn } from './project.ts'

/** The same file for both runners. `seen` is what a test finds before it writes; it must be the same on each try. */
const body = `
const seen = async (name) => {
  const { rows } = await pool.query("select array(select name from teams where id > 2 order by name) as teams, (select count(*)::int from notes) as notes")
  note({ name, teams: rows[0].teams.join(), notes: rows[0].notes })
  await pool.query("insert into notes (body) values ('test')")
  await pool.query("update teams set name = name || '!' where id > 2")
}
const add = (name) => pool.query('insert into teams (name) values ($1)', [name])
beforeAll(() => add('file'))
afterAll(() => pool.end())
test('first', () => seen('first'))
describe('a', () => {
  beforeAll(() => add('a1'))
  beforeAll(() => add('a2'))
  test('a one', () => seen('a one'))
  test('a two', () => seen('a two'))
  describe('deep', () => {
    beforeAll(() => add('deep'))
    afterAll(() => pool.query("delete from teams where name = 'deep'"))
    test('deep one', () => seen('deep one'))
    test('deep two', () => seen('deep two'))
  })
  describe('without hooks', () => {
    test('a three', () => seen('a three'))
  })
  test('a four', () => seen('a four'))
})
describe('only deeper', () => {
  describe('b', () => {
    beforeAll(() => add('b'))
    test('b one', () => seen('b one'))
    test('b two', () => seen('b two'))
  })
})
describe('hooks that fail', () => {
  beforeAll(async () => {
    await add('failed')
    throw new Error('the hook fails')
  })
  test('never runs', () => seen('never'))
})
describe('skipped', () => {
  beforeAll(() => add('skipped'))
  test.skip('is skipped', () => seen('never'))
})
describe('made in the hook', () => {
  beforeAll(() => pool.query('create table made (n int); insert into made values (1)'))
  for (const round of [1, 2]) {
    test('made ' + round, async () => {
      const { rows } = await pool.query('update made set n = n + 1 returning n')
      note({ name: 'made ' + round, n: rows[0].n })
    })
  }
})
test('last', async () => {
  await seen('last')
  const { rows } = await pool.query("select to_regclass('made') as made")
  note({ made: rows[0].made })
})
`

const found = (name: string, teams: string): object => ({ name, teams, notes: 0 })
const EXPECTED = [
  found('first', 'file'),
  found('a one', 'a1,a2,file'),
  found('a two', 'a1,a2,file'),
  found('deep one', 'a1,a2,deep,file'),
  found('deep two', 'a1,a2,deep,file'),
  found('a three', 'a1,a2,file'),
  found('a four', 'a1,a2,file'),
  found('b one', 'b,file'),
  found('b two', 'b,file'),
  { name: 'made 1', n: 2 },
  { name: 'made 2', n: 2 },
  found('last', 'file'),
  { made: null },
]
const byText = (facts: readonly unknown[]): string[] => facts.map((one) => JSON.stringify(one)).sort()

const vitestFile = `import { afterAll, beforeAll, describe, test } from 'vitest'
import pg from 'pg'
import { note } from './note.js'
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
${body}`

test('vitest: in order, shuffled, one by one, tried again, with hooks at the same time', async () => {
  const project = await makeProject('blocks-vitest', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'a.test.js': vitestFile,
    'flaky.test.js': `import { beforeAll, describe, expect, test } from 'vitest'
import { test as withDb } from 'testdb/vitest/fixtures'
import { onReset } from 'testdb'
import { note } from './note.js'
let tries = 0
let resets = 0
onReset(() => void resets++)
describe('again', () => {
  withDb('passes at its third try', { retry: 2 }, async ({ db }) => {
    const { rows } = await db.query('select count(*)::int as n from teams')
    await db.query("insert into teams (name) values ('x')")
    note({ try: ++tries, teams: rows[0].n, resets })
    expect(tries).toBe(3)
  })
  withDb('a checkpoint in the test ends with it', async ({ db }) => {
    await db.query("insert into teams (name) values ('kept')")
    const checkpoint = await db.checkpoint()
    await db.query("insert into teams (name) values ('gone')")
    await db.reset()
    const after = await db.query('select count(*)::int as n from teams')
    await checkpoint.release()
    const released = await db.query('select count(*)::int as n from teams')
    await db.query("insert into teams (name) values ('left behind')")
    await db.checkpoint()
    note({ after: after.rows[0].n, released: released.rows[0].n })
  })
  withDb('finds none of it', async ({ db }) => {
    note({ teams: (await db.query('select count(*)::int as n from teams')).rows[0].n })
  })
})
`,
  })
  const run = async (...args: string[]): Promise<unknown[]> => {
    project.clearNotes()
    expectExit(await runIn(project, 'vitest', ['run', ...args]), args.includes('-t') || args[0] === 'flaky' ? 0 : 1)
    return project.notes()
  }
  expect(await run('a.test')).toEqual(EXPECTED)
  for (const seed of ['1', '2', '3']) {
    const facts = await run('a.test', '--sequence.shuffle', `--sequence.seed=${seed}`)
    expect(byText(facts), `seed ${seed}`).toEqual(byText(EXPECTED))
  }
  expect(await run('a.test', '-t', 'deep two')).toEqual([found('deep two', 'a1,a2,deep,file')])
  expect(byText(await run('a.test', '--sequence.hooks=parallel'))).toEqual(byText(EXPECTED))
  expect(await run('flaky', '--no-isolate')).toEqual([
    { try: 1, teams: 2, resets: 0 },
    { try: 2, teams: 2, resets: 1 },
    { try: 3, teams: 2, resets: 2 },
    { after: 3, released: 2 },
    { teams: 2 },
  ])
  await expectNothingLeft(project)
})

test('jest', async () => {
  const project = await makeProject('blocks-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    'package.json': { name: 'blocks-jest', private: true, jest: { preset: 'testdb' } },
    'a.test.js': `const pg = require('pg')
const { note } = require('./note.js')
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
${body}`,
  })
  expectExit(await runIn(project, 'jest', []), 1)
  expect(byText(project.notes())).toEqual(byText(EXPECTED))
  project.clearNotes()
  expectExit(await runIn(project, 'jest', ['-t', 'deep two']), 0)
  expect(project.notes()).toEqual([found('deep two', 'a1,a2,deep,file')])
  await expectNothingLeft(project)
})

test('a hook that changes the schema of the migrations has no checkpoint, and it is said', async () => {
  const project = await makeProject('blocks-ddl', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(VITEST_WIRING),
    'a.test.js': `import { beforeAll, describe } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
describe('changes', () => {
  test.beforeAll ??= beforeAll
  beforeAll(async () => {
    const { default: pg } = await import('pg')
    const client = new pg.Client(process.env.DATABASE_URL)
    await client.connect()
    await client.query("alter table teams add column more int; insert into teams (name) values ('x')")
    await client.end()
  })
  for (const round of [1, 2]) test('round ' + round, async ({ db }) => note(await db.query('select count(*)::int as n from teams').then(({ rows }) => rows[0])))
})
`,
  })
  const { output } = expectExit(await runIn(project, 'vitest', ['run']), 0)
  expect(output).toContain('what beforeAll hooks of "changes" have made is gone after its first test')
  expect(output).toContain('ALTER TABLE public.teams')
  expect(project.notes()).toEqual([{ n: 3 }, { n: 2 }])
  await expectNothingLeft(project)
})
