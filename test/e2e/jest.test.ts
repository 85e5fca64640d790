/** Real Jest on the installed package. */

import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { KNEX_CJS, NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS } from './files.ts'
import { versionOf } from './install.ts'
import {
  expectExit,
  expectNothingLeft,
  expectNothingOpen,
  type Files,
  makeProject,
  type Outcome,
  runIn,
} from './project.ts'
import { removeServers } from './servers.ts'

const jest = Number.parseInt((await versionOf(inject('e2eHome'), 'jest')) ?? '', 10)

interface Note {
  readonly file: string
  readonly database: string
  readonly pid: number
}

/** Two tests that write the same rows, as code that knows nothing of testdb does it. */
const writingTest = (file: string): string => `const { Pool } = require('pg')
const { note } = require('./note.js')
${commonTest(file)}`

const commonTest = (file: string): string => `
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
for (const round of [1, 2]) {
  test('${file} ' + round, async () => {
    const { rows } = await pool.query('select current_database() as database, (select count(*)::int from notes) as notes')
    // Without the variable the driver would go by PGDATABASE and find the same.
    expect(new URL(process.env.DATABASE_URL).pathname).toBe('/' + rows[0].database)
    expect(rows[0].notes).toBe(0)
    expect((await pool.query("insert into notes (team_id, body) values (1, 'x') returning id")).rows).toEqual([{ id: 1 }])
    expect((await pool.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
    note({ file: '${file}', database: rows[0].database, pid: process.pid })
  })
}
`

/** Keeps its database until tests of two other files hold theirs: green only when files run at the same time. */
const meetingTest = (file: string): string => `${writingTest(file)}
const { readFileSync } = require('node:fs')
test('meets others', async () => {
  note({ meeting: '${file}', database: (await pool.query('select current_database() as name')).rows[0].name })
  const met = () => new Set(readFileSync(process.env.NOTES, 'utf8').trim().split('\\n').map(JSON.parse).filter((one) => one.meeting).map((one) => one.database))
  const deadline = Date.now() + 20_000
  while (met().size < 3) {
    if (Date.now() > deadline) throw new Error('alone')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}, 30_000)
`

const hooksTest = `const { Pool } = require('pg')
const { note } = require('./note.js')
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
const count = async (hook) => note({ hook, notes: (await pool.query('select count(*)::int as n from notes')).rows[0].n })
const write = () => pool.query("insert into notes (body) values ('x')")
describe('inner', () => {
  afterEach(() => count('inner afterEach'))
  afterAll(() => count('inner afterAll'))
  test('writes', write)
})
afterEach(() => count('outer afterEach'))
afterAll(async () => {
  await count('outer afterAll')
  await pool.end()
})
`

const SKIPPED: Files = { 'skipped.test.js': `test.skip('not now', () => undefined)\n` }

function expectQuiet(outcome: Outcome): void {
  expectNothingOpen(outcome)
  expect(outcome.output).not.toContain('Cannot log after')
}

test('a worker that something is left open in says what', async () => {
  const project = await makeProject('jest-held', {
    'package.json': { name: 'jest-held', private: true },
    'a.test.js': `test('leaves a server', (done) => void require('node:net').createServer().listen(0, done))\n`,
    'b.test.js': `test('leaves nothing', () => undefined)\n`,
  })

  const outcome = await runIn(project, 'jest', ['-w', '2'])
  expect(outcome.output).toContain('worker held by TCPServerWrap')
  expect(() => expectNothingOpen(outcome)).toThrow()
})

test('the preset, in a CommonJS project', async () => {
  const project = await makeProject('jest-cjs', {
    'package.json': { name: 'jest-cjs', private: true },
    // Jest remembers how long files took, and runs quick ones in band the next time.
    'jest.config.js': `module.exports = { preset: 'testdb', maxWorkers: 4, cacheDirectory: '<rootDir>/.jest' }\n`,
    ...KNEX_CJS,
    ...NOTE_CJS,
    'a.test.js': meetingTest('a'),
    'b.test.js': meetingTest('b'),
    'c.test.js': meetingTest('c'),
    'hooks.test.js': hooksTest,
    ...(jest >= 30 && SKIPPED),
  })

  const parallel = expectExit(await runIn(project, 'jest', ['-w', '4']), 0)
  expectQuiet(parallel)
  expect(parallel.stderr).toContain('2 migrations')
  expect(new Set(project.notes<Note>().map(({ database }) => database)).size).toBeGreaterThanOrEqual(3)
  // The database is still as the test left it in the file's own hooks, and put back before its last ones.
  expect(project.notes<{ hook?: string }>().filter(({ hook }) => hook)).toEqual([
    { hook: 'inner afterEach', notes: 1 },
    { hook: 'outer afterEach', notes: 1 },
    { hook: 'inner afterAll', notes: 0 },
    { hook: 'outer afterAll', notes: 0 },
  ])
  await expectNothingLeft(project)

  project.clearNotes()
  const args = ['-i', '--detectOpenHandles', '-t', '^(?!meets)']
  const inBand = expectExit(await runIn(project, 'jest', args), 0)
  expectQuiet(inBand)
  expect(inBand.output).not.toContain('built template')
  expect(new Set(project.notes<Note>().flatMap(({ pid }) => pid ?? [])).size).toBe(1)

  project.write(SKIPPED)
  // A file whose tests are all skipped runs no hook; it must give its database back all the same.
  expectQuiet(expectExit(await runIn(project, 'jest', ['skipped', '--detectOpenHandles']), 0))
  // Jest 29 does not say when it is through with such a file: its database waits to be put back by the next who takes it.
  if (jest >= 30) await expectNothingLeft(project)
})

test('ES modules', async () => {
  const project = await makeProject('jest-esm', {
    'jest.config.js': `export default { preset: 'testdb', transform: {} }\n`,
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    'a.test.js': `import pg from 'pg'\nimport { note } from './note.js'\nconst { Pool } = pg${commonTest('a')}`,
    'b.test.js': `import pg from 'pg'\nimport { note } from './note.js'\nconst { Pool } = pg${commonTest('b')}`,
  })
  const env = { NODE_OPTIONS: '--experimental-vm-modules' }

  const outcome = expectExit(await runIn(project, 'jest', ['-w', '2'], { env }), 0)

  expectQuiet(outcome)
  expect(project.notes()).toHaveLength(4)
  await expectNothingLeft(project)
})

const SETUPS: Files = {
  'before.js': `process.env.SEEN_BEFORE = String(process.env.DATABASE_URL !== undefined)\n`,
  'after.js': `require('./note.js').note({ before: process.env.SEEN_BEFORE, after: String(process.env.DATABASE_URL !== undefined) })\n`,
}

/** Jest 29 awaits functions of `setupFiles` only. */
const acquiring = `setupFiles: ['testdb/jest/acquire'],`

test('its modules by name, beside files of the user', async () => {
  const project = await makeProject('jest-manual', {
    'package.json': { name: 'jest-manual', private: true },
    ...KNEX_CJS,
    ...NOTE_CJS,
    ...SETUPS,
    'jest.config.js': `module.exports = {
  globalSetup: 'testdb/jest',
  globalTeardown: 'testdb/jest/teardown',
  ${jest >= 30 ? '' : acquiring}
  setupFilesAfterEnv: ['./before.js', 'testdb/jest/setup', './after.js'],
}\n`,
    'a.test.js': writingTest('a'),
    'late.config.js': `module.exports = { ...require('./jest.config.js'), setupFiles: [] }\n`,
    'own-setup.js': `module.exports = async (globalConfig, projectConfig) => {
  const { default: testdb } = await import('testdb/jest')
  await testdb(globalConfig, projectConfig)
  require('./note.js').note({ own: 'setup' })
}\n`,
    'own-teardown.js': `module.exports = async (globalConfig, projectConfig) => {
  require('./note.js').note({ own: 'teardown' })
  const { default: testdb } = await import('testdb/jest/teardown')
  await testdb(globalConfig, projectConfig)
}\n`,
    'own.config.js': `module.exports = { preset: 'testdb', globalSetup: './own-setup.js', globalTeardown: './own-teardown.js' }\n`,
    'required-setup.js': `module.exports = require('testdb/jest')\n`,
    'required.config.js': `module.exports = { preset: 'testdb', globalSetup: './required-setup.js' }\n`,
    'projects.config.js': `const project = (name, file) => ({ displayName: name, preset: 'testdb', testMatch: ['**/' + file] })
module.exports = { projects: [project('one', 'a.test.js'), project('two', 'b.test.js')] }\n`,
    'b.test.js': writingTest('b'),
  })
  const run = async (...args: string[]): Promise<object[]> => {
    project.clearNotes()
    expectQuiet(expectExit(await runIn(project, 'jest', args), 0))
    await expectNothingLeft(project)
    return project.notes()
  }

  const manual = await run('a.test.js')
  expect(manual[0]).toEqual({ before: jest >= 30 ? 'false' : 'true', after: 'true' })
  const late = await runIn(project, 'jest', ['--config', 'late.config.js', 'a.test.js'])
  if (jest >= 30) expectExit(late, 0)
  else
    expect(expectExit(late, 1).output).toContain(
      `Add \`setupFiles: ['testdb/jest/acquire']\` to the Jest configuration`,
    )
  const own = await run('--config', 'own.config.js', 'a.test.js')
  expect([own[0], own.at(-1)]).toEqual([{ own: 'setup' }, { own: 'teardown' }])
  expect(await run('--config', 'required.config.js', 'a.test.js')).toHaveLength(2)
  expect(await run('--config', 'projects.config.js', '-w', '2')).toHaveLength(4)
})

test('a file that throws while it is loaded: Jest ends, and the next run is not disturbed', async () => {
  const project = await makeProject('jest-throws', {
    'package.json': { name: 'jest-throws', private: true },
    'jest.config.js': `module.exports = { preset: 'testdb' }\n`,
    ...KNEX_CJS,
    ...NOTE_CJS,
    'a.test.js': writingTest('a'),
    'throws.test.js': `throw new Error('while loading')\n`,
  })

  for (const args of [['-i'], ['-w', '2']]) {
    const outcome = expectExit(await runIn(project, 'jest', args), 1)
    expect(outcome.output).toContain('Tests:       2 passed, 2 total')
    expectQuiet(outcome)
  }
  project.remove('throws.test.js')
  expectExit(await runIn(project, 'jest', []), 0)
})

test('progress goes to stderr, so that a report on stdout can be read', async () => {
  const project = await makeProject('jest-json', {
    'package.json': { name: 'jest-json', private: true },
    'jest.config.js': `module.exports = { preset: 'testdb' }\n`,
    ...KNEX_CJS,
    ...NOTE_CJS,
    'a.test.js': writingTest('a'),
  })

  const outcome = expectExit(await runIn(project, 'jest', ['--json']), 0)

  expect(outcome.stderr).toContain('built template')
  expect(JSON.parse(outcome.stdout)).toMatchObject({ success: true, numPassedTests: 2 })
})

test('a failing migration stops the run with its error', async () => {
  const project = await makeProject('jest-broken', {
    'package.json': { name: 'jest-broken', private: true },
    'jest.config.js': `module.exports = { preset: 'testdb' }\n`,
    'migrations/001_broken.sql': 'create table notes (id int,, body text);\n',
    'a.test.js': `test('never runs', () => undefined)\n`,
  })

  const outcome = expectExit(await runIn(project, 'jest', []), 1)

  expect(outcome.stderr).toContain(
    'TESTDB_MIGRATION_FAILED: migration 001_broken.sql failed: syntax error at or near ","',
  )
  expect(outcome.stderr).toContain('line 1, column 28')
  expectQuiet(outcome)
  await expectNothingLeft(project)
})

test('projects with roots and migrations of their own, and one that has none', async () => {
  const own = (name: string): Files => ({
    [`${name}/package.json`]: { name: `@jest-projects/${name}`, private: true },
    [`${name}/jest.config.js`]: `module.exports = { preset: 'testdb' }\n`,
    [`${name}/migrations/001_${name}.sql`]: `create table ${name} (id int);\n`,
    [`${name}/${name}.test.js`]: `const { Pool } = require('pg')
const pool = new Pool({ connectionString: process.env.DATABASE_URL })
afterAll(() => pool.end())
test('finds its own table', async () => {
  const { rows } = await pool.query("select tablename as name from pg_tables where schemaname = 'public' and tablename !~ 'migrations'")
  expect(rows).toEqual([{ name: '${name}' }])
})
`,
  })
  const project = await makeProject('jest-projects', {
    'package.json': { name: 'jest-projects', private: true },
    'jest.config.js': `module.exports = { projects: ['apples', 'pears', 'plain'] }\n`,
    ...own('apples'),
    ...own('pears'),
    'plain/jest.config.js': 'module.exports = {}\n',
    'plain/plain.test.js': `test('needs nothing', () => expect(process.env.DATABASE_URL).toBeUndefined())\n`,
  })
  // In one process and in several: a process serves files of more than one project.
  for (const how of ['--runInBand', '--maxWorkers=3']) {
    if (jest >= 30) {
      const outcome = expectExit(await runIn(project, 'jest', [how]), 0)
      expect(outcome.output).toContain('Tests:       3 passed, 3 total')
      continue
    }
    const outcome = expectExit(await runIn(project, 'jest', [how]), 1)
    expect(outcome.output).toContain('run Jest in each of their folders')
    for (const name of ['apples', 'pears']) {
      expectExit(await runIn({ ...project, root: join(project.root, name) }, 'jest', [how]), 0)
    }
  }
  // Jest names a root that was chosen on the command line relative to where it was called.
  const chosen = expectExit(await runIn(project, 'jest', ['--projects', 'pears']), 0)
  expect(chosen.output).toContain('Tests:       1 passed, 1 total')
  for (const name of ['apples', 'pears']) {
    const root = join(project.root, name)
    await expectNothingLeft({ ...project, root })
    // Nobody else looks for servers of folders inside of a project.
    await removeServers({ projectRoot: root })
  }
})
