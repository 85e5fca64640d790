/** A worker that has lost its database runs no further test on it: whatever that would see, it would not be the migrated state. */
import { expect, test } from 'vitest'
import { NOTE_CJS, SQL_MIGRATIONS, vitestConfig } from '../e2e/files.ts'
import { expectExit, type Files, makeProject, runIn } from '../e2e/project.ts'

const cutLease = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name like 'testdb lease%'`

/** The first test loses the lease while it runs; a test that runs after it says so. */
const tests = `
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
pool.on('error', () => undefined)
afterAll(() => pool.end())
test('first', async () => {
  await pool.query(\`${cutLease}\`)
  note({ ran: 'first' })
})
test('second', () => note({ ran: 'second' }))
`

const files: Files = {
  ...SQL_MIGRATIONS,
  ...NOTE_CJS,
  'testdb.config.mjs': 'export default { role: { superuser: true } }\n',
}

const RUNNERS: [runner: string, args: string[], files: Files][] = [
  [
    'vitest',
    ['run'],
    {
      'package.json': { name: 'lost-vitest', private: true },
      'vitest.config.mjs': vitestConfig()['vitest.config.js'] ?? '',
      'a.test.mjs': `import { afterAll, test } from 'vitest'\nimport pg from 'pg'\nimport { note } from './note.js'\nconst { Pool } = pg${tests}`,
    },
  ],
  [
    'jest',
    [],
    {
      'package.json': { name: 'lost-jest', private: true },
      'jest.config.js': `module.exports = { preset: 'testdb' }\n`,
      'a.test.js': `const { Pool } = require('pg')\nconst { note } = require('./note.js')${tests}`,
    },
  ],
]

test.each(RUNNERS)('%s', async (runner, args, own) => {
  const project = await makeProject(`lost-${runner}`, { ...files, ...own })

  const outcome = expectExit(await runIn(project, runner, args), 1)

  expect(project.notes()).toEqual([{ ran: 'first' }])
  expect(outcome.output).toContain('TESTDB_LEASE_LOST')
})
