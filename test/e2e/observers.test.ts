/** `logger` and `onEvent` of the configuration hear everything once, in the main process and in workers, and can fail no test. */
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, type Outcome, type Project, runIn } from './project.ts'

/** Both throw whenever they are called. */
const CONFIG = `import { appendFileSync } from 'node:fs'
const note = (fact) => appendFileSync(process.env.NOTES, JSON.stringify({ pid: process.pid, ...fact }) + '\\n')
const log = (level) => (message) => { note({ level, message }); throw new Error('mine') }
export default {
  reset: 'truncate', extensions: [],
  logger: { info: log('info'), warn: log('warn'), error: log('error') },
  onEvent: async ({ name, file }) => { note({ event: name, file }); throw new Error('mine too') },
}
`

/** Ends the idle connection of db.pool, and changes the schema while another session is there. */
const body = (db: string): string => `
const other = new pg.Client({ connectionString: process.env.DATABASE_URL })
await other.connect()
const { rows } = await ${db}.query('select pg_backend_pid() as pid')
await other.query('select pg_terminate_backend($1)', [rows[0].pid])
while (${db}.pool.totalCount > 0) await new Promise((resolve) => setTimeout(resolve, 5))
await ${db}.query('select 1')
await other.end()
`

interface Fact {
  readonly pid: number
  readonly level?: string
  readonly message?: string
  readonly event?: string
  readonly file?: string
}

function expectHeard({ output }: Outcome, project: Project, files: number): void {
  const facts = project.notes<Fact>()
  const recovered = facts.filter(({ message }) => message?.includes('terminating connection'))
  expect(recovered.map(({ level, message }) => [level, message?.replace(/\d+/g, 'N')])).toEqual(
    Array(files).fill([
      'warn',
      `an idle connection of the pool "testdb:${project.name}:N" was lost (terminating connection due to administrator command) and is back after N.N s`,
    ]),
  )
  const events = (name: string): Fact[] => facts.filter(({ event }) => event === name)
  expect(events('connection.recovered')).toHaveLength(files)
  expect(events('database.acquired').length).toBeGreaterThan(0)
  const started = events('file.started').map(({ file }) => file)
  expect([started.length, new Set(started).size]).toEqual([files, files])
  // The run is the main process's.
  expect(events('template.built')).toHaveLength(1)
  expect(output).not.toContain('was lost (')
  // Said once in each process, and nothing else.
  const complaints = output.split('of the configuration has thrown: mine').length - 1
  expect(complaints).toBeGreaterThan(0)
}

const CASES: readonly [name: string, files: number, project: Files, command: readonly string[]][] = [
  [
    'vitest',
    3,
    {
      ...NOTE_ESM,
      ...vitestConfig(
        `globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], maxWorkers: 1, isolate: false`,
      ),
      ...Object.fromEntries(
        [1, 2, 3].map((n) => [
          `${n}.test.js`,
          `import pg from 'pg'\nimport { test } from 'testdb/vitest/fixtures'\ntest('recovers', async ({ db }) => {${body('db')}})`,
        ]),
      ),
      'testdb.config.mjs': CONFIG,
    },
    ['vitest', 'run'],
  ],
  [
    'jest',
    3,
    {
      'package.json': { name: 'observers-jest', private: true, jest: { preset: 'testdb' } },
      ...NOTE_CJS,

      ...Object.fromEntries(
        [1, 2, 3].map((n) => [
          `${n}.test.js`,
          `const pg = require('pg')\nconst { db } = require('testdb/jest/db')\ntest('recovers', async () => {${body('db()')}})`,
        ]),
      ),
      // Compiled in workers, too, which are sandboxes.
      'testdb.config.ts': CONFIG.replace('(fact)', '(fact: object)')
        .replace('(level) =>', '(level: string) =>')
        .replace('(message) =>', '(message: string) =>')
        .replace('({ name, file })', '({ name, file }: { name: string; file?: string })')
        .replace('process.env.NOTES', 'process.env.NOTES as string'),
    },
    ['jest', '--maxWorkers=2', '--workerThreads=false'],
  ],
]

test.each(CASES)('%s', async (name, files, project, [runner = '', ...args]) => {
  const made = await makeProject(`observers-${name}`, { ...SQL_MIGRATIONS, ...project })
  const outcome = await runIn(made, runner, [...args])
  expectExit(outcome, 0)
  expectHeard(outcome, made, files)
  await expectNothingLeft(made)
})
