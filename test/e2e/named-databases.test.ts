/** A project with two databases, each with migrations and a variable of its own, in scripts, runners and commands. */
import { beforeAll, expect, test } from 'vitest'
import { expectExit, expectNothingLeft, makeProject, type Project, runIn } from './project.ts'
import { inventory } from './servers.ts'

let project: Project

const TESTS = `
const count = async (url, table) => {
  const pool = new pg.Pool({ connectionString: url })
  const { rows } = await pool.query(\`select count(*)::int as n from \${table}\`)
  await pool.end()
  return rows[0].n
}
const write = async (url, table) => {
  const pool = new pg.Pool({ connectionString: url })
  await pool.query(\`insert into \${table} (text) values ('x')\`)
  await pool.end()
}
describe('both', () => {
  beforeAll(async () => {
    await write(process.env.AUDIT_DATABASE_URL, 'entries')
  })
  for (const n of [1, 2]) {
    test('writes to both ' + n, async () => {
      expect(await count(process.env.DATABASE_URL, 'notes')).toBe(0)
      expect(await count(process.env.AUDIT_DATABASE_URL, 'entries')).toBe(2)
      await write(process.env.DATABASE_URL, 'notes')
      await write(process.env.AUDIT_DATABASE_URL, 'entries')
    })
  }
})
test('what beforeAll has made in the second one is gone after its block', async () => {
  expect(await count(process.env.DATABASE_URL, 'notes')).toBe(0)
  expect(await count(process.env.AUDIT_DATABASE_URL, 'entries')).toBe(1)
})
`

const SCRIPT = `
import { createTestDb } from 'testdb'
const testdb = await createTestDb()
const [a, b] = [await testdb.acquire(), await testdb.acquire()]
const counts = async () => {
  const all = []
  for (const db of [a, b]) {
    const { main, audit } = db.named
    all.push((await main.query('select count(*)::int as n from notes')).rows[0].n)
    all.push((await audit.query('select count(*)::int as n from entries')).rows[0].n)
  }
  return all.join(' ')
}
const said = []
await a.query("insert into notes (text) values ('x')")
await a.named.audit.query("insert into entries (text) values ('x')")
said.push(await counts())
const checkpoint = await a.checkpoint()
await a.named.audit.query("insert into entries (text) values ('y')")
await a.reset()
said.push(await counts())
await checkpoint.release()
await a.reset()
said.push(await counts())
const names = [a, b].flatMap((db) => Object.values(db.named).map(({ name }) => name))
await a.release()
const again = await testdb.acquire()
const same = again.name === names[0] && again.named.audit.name === names[1]
await testdb.close()
const late = await again.named.audit.query('select 1').catch((error) => error.code)
console.log(JSON.stringify({ said, different: new Set(names).size, same, late }))
`

beforeAll(async () => {
  project = await makeProject('named-databases', {
    'package.json': { name: 'named-databases', private: true, type: 'module' },
    'testdb.config.js': `import { sqlMigrator } from 'testdb/migrators'
export default {
  databases: {
    main: { migrator: sqlMigrator({ directory: 'main' }) },
    audit: { migrator: sqlMigrator({ directory: 'audit' }), seed: 'audit-seed.sql' },
  },
}\n`,
    'main/001_notes.sql': 'create table notes (id int generated always as identity primary key, text text);\n',
    'audit/001_entries.sql': 'create table entries (id int generated always as identity primary key, text text);\n',
    'audit-seed.sql': "insert into entries (text) values ('seeded');\n",
    'vitest.config.js': `import testdb from 'testdb/vitest/plugin'
export default { plugins: [testdb()], test: { include: ['vitest/*.test.js'] } }\n`,
    'vitest/a.test.js': `import pg from 'pg'\nimport { beforeAll, describe, expect, test } from 'vitest'\n${TESTS}`,
    'vitest/b.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
for (const n of [1, 2]) {
  test('the fixture has both ' + n, async ({ db }) => {
    expect(Object.keys(db.named)).toEqual(['main', 'audit'])
    expect(db.named.main).toBe(db)
    const { rowCount } = await db.named.audit.query("insert into entries (text) values ('x') returning id")
    expect(rowCount).toBe(1)
    const { rows } = await db.named.audit.query('select text from entries order by id')
    expect(rows.map(({ text }) => text)).toEqual(['seeded', 'x'])
    expect(process.env.AUDIT_DATABASE_URL).toBe(db.named.audit.url)
  })
}\n`,
    'jest.config.json': { preset: 'testdb', testMatch: ['**/jest/*.test.cjs'] },
    'jest/a.test.cjs': `const pg = require('pg')\n${TESTS}`,
    'script.mjs': SCRIPT,
    'print.mjs': 'console.log(process.env.DATABASE_URL, process.env.AUDIT_DATABASE_URL)\n',
  })
})

test('a script: both are put back, given back and taken again together', async () => {
  const { stdout } = expectExit(await runIn(project, 'node', ['script.mjs']), 0)
  expect(JSON.parse(stdout)).toEqual({
    said: ['1 2 0 1', '1 2 0 1', '0 1 0 1'],
    different: 4,
    same: true,
    late: 'TESTDB_LEASE_LOST',
  })
  await expectNothingLeft(project)
})

test('Vitest: setup file and fixture', async () => {
  const { stdout } = expectExit(await runIn(project, 'vitest', ['run', '--no-color']), 0)
  expect(stdout).toMatch(/Tests\s+5 passed \(5\)/)
  await expectNothingLeft(project)
})

test('Jest', async () => {
  const { stderr } = expectExit(await runIn(project, 'jest', []), 0)
  expect(stderr).toMatch(/Tests:\s+3 passed, 3 total/)
  await expectNothingLeft(project)
})

test("`testdb run`: the command has both variables, and the doctor knows both projects' migrations", async () => {
  const run = expectExit(await runIn(project, 'testdb', ['run', '--', 'node', 'print.mjs']), 0)
  expect(run.stdout).toMatch(/^postgres\S+ postgres\S+$/m)
  const doctor = expectExit(await runIn(project, 'testdb', ['doctor']), 0)
  expect(doctor.stdout).toContain('main: 1 migration with')
  expect(doctor.stdout).toContain('audit: 1 migration with')
  expect(doctor.stdout).toContain('audit: seed')
})

test('each template is built once, whoever asks', async () => {
  const { templates } = await inventory({ projectRoot: project.root })
  expect(templates).toHaveLength(2)
})
