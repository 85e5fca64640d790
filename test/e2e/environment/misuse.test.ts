/** Tests that change their process: clocks, variables, the working directory, its end. */
import { expect, test } from 'vitest'
import { SQL_MIGRATIONS } from '../files.ts'
import { expectExit, expectNothingLeft, makeProject, type Project, runIn } from '../project.ts'
import { expectGreen, newcomer, PLAIN_SUITE } from './lab.ts'

const IMPORTS = `import { expect, vi } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
const write = (db) => db.query("insert into notes (body) values ('x')")
const empty = async (db) => expect((await db.query('select * from notes')).rows).toEqual([])
`
const twice = (name: string, misuse: string): string => `${IMPORTS}
test('${name}', async ({ db }) => {
  await write(db)
  ${misuse}
})
test('the next finds a clean state', async ({ db }) => {
  await empty(db)
  await db.reset()
  await db.pool.query('select 1')
})
`

/** What is left open at the end of a file is closed after a while, and that while must not be measured by a faked clock. */
const LEAKS = `const client = await db.pool.connect()
  await client.query('begin')
  const transaction = await db.knex().transaction()
  await transaction('notes').insert({ body: 'y' })`

const MISUSES = {
  'fake timers': `vi.useFakeTimers(); vi.setSystemTime(new Date('2001-01-01'))`,
  'fake timers and what is left open': `${LEAKS}\n  vi.useFakeTimers()`,
  variables: `Object.assign(process.env, { DATABASE_URL: 'postgres://x@127.0.0.1:1/x', PGHOST: 'x.invalid', PGPORT: '1', PGUSER: 'x' })`,
  'the working directory': `process.chdir('/')`,
}

test('Vitest: tests that change clocks, variables and the working directory', async () => {
  const names = Object.keys(MISUSES) as (keyof typeof MISUSES)[]
  const suites = names.map((name, index) => [`m${index}.test.js`, twice(name, MISUSES[name])])
  const project = await newcomer('misuse', Object.fromEntries(suites))

  // One worker: each file, and the plain one too, comes after another.
  expectGreen(await runIn(project, 'vitest', ['run', '--maxWorkers=1']), 2 * (names.length + 1))

  await expectNothingLeft(project)
})

const next = async (project: Project): Promise<void> => {
  expectGreen(await runIn(project, 'vitest', ['run', 'b.test.js']))
  await expectNothingLeft(project)
}

test('Vitest: a test that calls process.exit fails, one that really ends its process does too, and nobody else', async () => {
  const project = await newcomer('misuse-exit', {
    'a.test.js': `${IMPORTS}test('exits', async ({ db }) => { await write(db); process.exit(0) })\n`,
    'b.test.js': PLAIN_SUITE,
    'c.test.js': `${IMPORTS}test('ends', async ({ db }) => { await write(db); process.reallyExit(0) })\n`,
  })

  const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)

  expect(outcome.output).toContain('process.exit unexpectedly called with "0"')
  expect(outcome.output).toContain('Worker exited unexpectedly')
  expect(outcome.output).toContain('✓ b.test.js (2 tests)')
  await next(project)
})

const jestSuite = (before: string, during: string): string => `const { Client } = require('pg')
${before}
for (const round of [1, 2]) {
  test('round ' + round, async () => {
    const client = new Client(process.env.DATABASE_URL)
    await client.connect()
    expect((await client.query('select * from notes')).rows).toEqual([])
    await client.query("insert into notes (body) values ('x')")
    await client.end()
    ${during}
  })
}
`

test('Jest: fake timers, modern, legacy and for all', async () => {
  const project = await makeProject('misuse-jest', {
    ...SQL_MIGRATIONS,
    'package.json': { name: 'misuse-jest', private: true, jest: { preset: 'testdb' } },
    'modern.test.js': jestSuite('jest.useFakeTimers()', ''),
    'legacy.test.js': jestSuite('', 'jest.useFakeTimers({ legacyFakeTimers: true })'),
  })

  for (const more of [[], ['--fakeTimers={"enableGlobally":true}']]) {
    const outcome = expectExit(await runIn(project, 'jest', more), 0)
    expect(outcome.output).toMatch(/Tests:\s+4 passed, 4 total/)
    await expectNothingLeft(project)
  }
})
