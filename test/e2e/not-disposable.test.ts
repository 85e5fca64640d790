/** A database whose name does not say test: every way into testdb refuses it before a connection is made. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatUrl, withSession } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { execute } from '../helpers/world.ts'
import { SQL_MIGRATIONS } from './files.ts'
import { makeProject, type Project, runIn } from './project.ts'

let server: PrivatePostgres
let project: Project
beforeAll(async () => {
  server = await startPrivatePostgres({ settings: { log_connections: 'on', log_statement: 'all' } })
  await execute(server.admin, 'create database shop template template0')
  project = await makeProject('not-disposable', {
    ...SQL_MIGRATIONS,
    'vitest.config.js': `export default { test: { globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], include: ['*.vitest.js'] } }\n`,
    'a.vitest.js': `import { test } from 'vitest'\ntest('is never run', () => undefined)\n`,
    'plugin.config.js': `import testdb from 'testdb/vitest/plugin'\nexport default { plugins: [testdb()], test: { include: ['*.vitest.js'] } }\n`,
    'jest.config.cjs': `module.exports = { preset: 'testdb', testMatch: ['**/*.jest.cjs'] }\n`,
    'b.jest.cjs': `test('is never run', () => undefined)\n`,
    'script.js': `import { createTestDb } from 'testdb'\nawait createTestDb()\n`,
  })
})
afterAll(() => server?.stop())

/** What the server has noted of connections and statements. */
const noted = (): number =>
  readFileSync(join(server.home, 'log'), 'utf8').match(/connection (received|authorized)|statement:/g)?.length ?? 0

const ENTRIES: readonly (readonly [string, ...string[]])[] = [
  ['node', 'script.js'],
  ['vitest', 'run'],
  ['vitest', 'run', '--config', 'plugin.config.js'],
  ['jest'],
  ['testdb', 'run', '--', 'node', '-e', '0'],
  ['testdb', 'reset'],
  ['testdb', 'reset', '--all', '--force'],
  ['testdb', 'prune', '--keep-days', '0'],
  ['testdb', 'prune', '--dry-run'],
  ['testdb', 'status'],
  ['testdb', 'doctor'],
  ['testdb', 'url', 'shop'],
]

test.each(ENTRIES.map((words) => ({ line: words.join(' '), words })))(
  '$line',
  async ({ words: [command, ...args] }) => {
    const before = noted()
    expect(before).toBeGreaterThan(0)
    const env = { TESTDB_URL: formatUrl({ ...server.admin, database: 'shop' }) }
    for (const isolation of ['database', 'shared']) {
      const outcome = await runIn(project, command, args, { env: { ...env, TESTDB_ISOLATION: isolation } })
      expect(outcome.output).toContain('TESTDB_SERVER_NOT_DISPOSABLE')
      expect(outcome.exitCode).not.toBe(0)
      expect(outcome.output).not.toContain('1 passed')
    }
    expect(noted()).toBe(before)
  },
)

test('up and down are for the embedded server alone', async () => {
  const before = noted()
  const env = { TESTDB_URL: formatUrl({ ...server.admin, database: 'shop' }) }
  for (const command of ['up', 'down']) await runIn(project, 'testdb', [command], { env })
  expect(noted()).toBe(before)
})

test('with the explicit switch it is used, and the log shows it', async () => {
  const before = noted()
  const env = { TESTDB_URL: formatUrl({ ...server.admin, database: 'shop' }), TESTDB_ALLOW: '1' }
  const outcome = await runIn(project, 'vitest', ['run'], { env })
  expect(outcome.exitCode, outcome.output).toBe(0)
  expect(noted()).toBeGreaterThan(before)
  const made = await withSession({ ...server.admin, database: 'shop' }, { applicationName: 'test' }, (session) =>
    session.query(`select from pg_namespace where nspname = 'testdb'`),
  )
  expect(made.rowCount).toBe(1)
})
