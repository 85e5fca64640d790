/** What belongs to a test runs before its reset: hooks in any order, fixtures, `onTestFinished`; and what follows a block goes with it. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, runIn } from './project.ts'

const vitestFile = (inAround: number): string => `import * as vitest from 'vitest'
import { test as base } from 'testdb/vitest/fixtures'
import { note } from './note.js'
const { afterAll, afterEach, beforeEach, describe, expect, onTestFinished } = vitest
const counted = async (db) => (await db.query('select count(*)::int as n from teams')).rows[0].n
const add = (db, name) => db.query('insert into teams (name) values ($1)', [name])
const test = base.extend({
  transaction: async ({ db }, use) => {
    const client = await db.pool.connect()
    await client.query('begin')
    await use(client)
    note({ open: (await client.query('select count(*)::int as n from teams')).rows[0].n })
    await client.query('rollback')
    client.release()
  },
  row: async ({ db }, use) => {
    await add(db, 'of the fixture')
    await use('of the fixture')
    note({ removed: (await db.query("delete from teams where name = 'of the fixture'")).rowCount })
  },
})
let before
beforeEach(async ({ task }) => { before = task.name })
const startsClean = async (db) => expect(await counted(db), before).toBe(2)

test('a transaction of a fixture', async ({ transaction }) => { await add(transaction, 'x') })
test('a row of a fixture', async ({ db, row }) => { expect(await counted(db), row).toBe(3) })
test('finished', async ({ db }) => {
  await startsClean(db)
  onTestFinished(async () => {
    note({ finished: await counted(db) })
    await add(db, 'after the test')
  })
  await add(db, 'x')
})
describe('afterEach', () => {
  let database
  afterEach(async () => note({ afterEach: await counted(database) }))
  test('writes', async ({ db }) => {
    await startsClean(db)
    database = db
    await add(db, 'x')
  })
})
describe('afterAll alone', () => {
  let database
  afterAll(async () => {
    note({ afterAll: await counted(database) })
    await add(database, 'after the block')
  })
  test('writes', async ({ db }) => {
    await startsClean(db)
    database = db
    await add(db, 'x')
  })
})
test('after the block', async ({ db }) => { await startsClean(db) })
if (vitest.aroundEach) {
  describe('around', () => {
    vitest.aroundEach(async (run, { db }) => {
      const client = await db.pool.connect()
      await client.query("begin; insert into teams (name) values ('around')")
      await run()
      note({ around: (await client.query('select count(*)::int as n from teams')).rows[0].n })
      await client.query('rollback')
      client.release()
    })
    for (const round of [1, 2]) test('around ' + round, async ({ db }) => { expect(await counted(db)).toBe(${inAround}) })
  })
  test('after those around', async ({ db }) => { await startsClean(db) })
}
`

/** The first test of a file: what `beforeAll` hooks have made is remembered only now. */
const aroundFirst = `import * as vitest from 'vitest'
import { test } from 'testdb/vitest/fixtures'
if (vitest.aroundEach) {
  vitest.aroundEach(async (run, { db }) => {
    const client = await db.pool.connect()
    await client.query("begin; insert into teams (name) values ('around')")
    await run()
    await client.query('rollback')
    client.release()
  })
}
for (const round of [1, 2]) {
  test('around ' + round, async ({ db }) => { await db.query("update teams set name = 'x' where name = 'none'") })
}
`

const EXPECTED = [{ open: 3 }, { removed: 1 }, { finished: 3 }, { afterEach: 3 }, { afterAll: 2 }]

test.each(['rows', 'truncate', 'rollback'])(
  'vitest, %s: hooks as a stack, as a list, at the same time',
  async (reset) => {
    const project = await makeProject(`test-ends-${reset}`, {
      ...SQL_MIGRATIONS,
      ...NOTE_ESM,
      ...vitestConfig(),
      'testdb.config.js': `export default { reset: '${reset}' }\n`,
      // With one transaction for all there is nothing that others do not see.
      'a.test.js': vitestFile(reset === 'rollback' ? 3 : 2),
      'first.test.js': aroundFirst,
    })
    for (const hooks of ['stack', 'list', 'parallel']) {
      project.clearNotes()
      const { output } = expectExit(await runIn(project, 'vitest', ['run', `--sequence.hooks=${hooks}`]), 0)
      const notes = project.notes()
      expect(notes.slice(0, 5), hooks).toEqual(EXPECTED)
      for (const one of notes.slice(5)) expect(one).toEqual({ around: 3 })
      expect(output).not.toContain('still worked')
    }
    await expectNothingLeft(project)
  },
)

test('vitest, a database for each test: outside of one the environment leads nowhere; two at once with one environment are refused', async () => {
  const project = await makeProject('test-ends-scope', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'testdb.config.js': `export default { scope: 'test' }\n`,
    'a.test.js': `import { beforeAll, describe, test } from 'vitest'
import { note } from './note.js'
const look = (where) => note({ where, real: process.env.DATABASE_URL.includes('real'), none: process.env.DATABASE_URL.includes('.invalid/') })
look('load')
beforeAll(() => look('beforeAll'))
test('a', () => look('test'))
describe('b', () => {
  beforeAll(() => look('later'))
  test('b', () => undefined)
})
`,
    'b.test.js': `import { describe, test } from 'vitest'
let let_go
const both = new Promise((resolve) => { let_go = resolve })
// Vitest 5 has only the option, older ones only the method.
const sequential = test.sequential ?? ((name, fn) => test(name, { concurrent: false }, fn))
describe.concurrent('one', () => { sequential('waits', () => both) })
describe.concurrent('two', () => { sequential('comes', () => undefined) })
setTimeout(let_go, 2_000)
`,
  })
  const env = { DATABASE_URL: 'postgres://somebody@localhost/real' }
  expectExit(await runIn(project, 'vitest', ['run', 'a.test'], { env }), 0)
  expect(project.notes()).toEqual([
    { where: 'load', real: false, none: true },
    { where: 'beforeAll', real: false, none: true },
    { where: 'test', real: false, none: false },
    { where: 'later', real: false, none: true },
  ])
  const { output } = expectExit(await runIn(project, 'vitest', ['run', 'b.test']), 1)
  expect(output).toContain('the tests "waits" and "comes" run at the same time with one environment')
  await expectNothingLeft(project)
})

test('jest: afterAll of a block without beforeAll; without injected globals; one test beside the others', async () => {
  const jest = (options: object): object => ({ preset: 'testdb', ...options })
  const project = await makeProject('test-ends-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    'package.json': { name: 'test-ends-jest', private: true, jest: jest({}) },
    'without.json': jest({ injectGlobals: false, rootDir: '.' }),
    'a.test.js': `const { afterAll, describe, test } = require('@jest/globals')
const pg = require('pg')
const { note } = require('./note.js')
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
const counted = async () => (await pool.query('select count(*)::int as n from teams')).rows[0].n
const add = (name) => pool.query('insert into teams (name) values ($1)', [name])
afterAll(() => pool.end())
describe('afterAll alone', () => {
  afterAll(async () => {
    note({ afterAll: await counted() })
    await add('after the block')
  })
  test('writes', async () => { note({ first: await counted() }); await add('x') })
})
test('after the block', async () => { note({ second: await counted() }); await add('y') })
test('last', async () => note({ third: await counted() }))
`,
    'beside.test.js': `test.concurrent('beside', async () => undefined)
test('alone', () => undefined)
`,
  })
  for (const args of [[], ['--config', 'without.json']]) {
    project.clearNotes()
    expectExit(await runIn(project, 'jest', [...args, 'a.test']), 0)
    expect(project.notes()).toEqual([{ first: 2 }, { afterAll: 2 }, { second: 2 }, { third: 2 }])
  }
  const { output } = expectExit(await runIn(project, 'jest', ['beside']), 1)
  expect(output).toContain('the tests "beside" and "alone" run at the same time on one database')
  expectExit(await runIn(project, 'jest', ['beside', '-t', 'beside']), 0)
  await expectNothingLeft(project)
})
