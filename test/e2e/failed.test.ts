/** A failed test: what it had changed is told, and its database is kept if that is wanted. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, type Project, runIn } from './project.ts'
import { inventory } from './servers.ts'

const write = `
    await query("insert into teams (name) values ('new')")
    await query("update teams set name = 'changed' where name = 'red'")
    await query("delete from teams where name = 'blue'")
    await query("insert into notes (body) select 'note ' || n from generate_series(1, 200) n")
`
const vitestFile = `import { beforeAll, describe, expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
import pg from 'pg'
describe('teams', () => {
  beforeAll(async () => {
    if (process.env.DATABASE_URL.includes('.invalid/')) return
    const client = new pg.Client(process.env.DATABASE_URL)
    await client.connect()
    await client.query("insert into teams (name) values ('before all')")
    await client.end()
  })
  test('fails', async ({ db }) => {
    const query = (sql) => db.query(sql)
    ${write}
    expect(1).toBe(2)
  })
  test('passes', async ({ db }) => {
    const { rows } = await db.query('select array_agg(name order by name) as names from teams')
    note({ names: rows[0].names.join() })
  })
  test.fails('is meant to fail', async ({ db }) => {
    await db.query("insert into teams (name) values ('meant')")
    throw new Error('as it should')
  })
})
`
const TOLD = [
  /testdb: "fails" failed; what it had changed in testdb_\w+:/,
  /testdb: {3}public\.notes: 200 added, 0 removed, 0 changed\n/,
  /testdb: {3}public\.teams: 1 added, 1 removed, 1 changed\n/,
]

const failures = (project: Project): string => path.join(project.root, 'node_modules/.cache/testdb-failures')

interface Postmortem {
  readonly test: string
  readonly changes: {
    readonly table: string
    readonly rows: { readonly added: object[]; readonly changed: object[] }
  }[]
}
function readPostmortem(project: Project): Postmortem {
  const [file, ...more] = readdirSync(failures(project))
  expect(more).toEqual([])
  return JSON.parse(readFileSync(path.join(failures(project), file ?? ''), 'utf8')) as Postmortem
}

test('vitest: what a failed test had changed is told, as JSON too; the next test starts clean', async () => {
  const project = await makeProject('failed-vitest', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'a.test.js': vitestFile,
  })
  const { output } = expectExit(await runIn(project, 'vitest', ['run']), 1)
  for (const line of TOLD) expect(output).toMatch(line)
  expect(output).not.toContain('"is meant to fail" failed')
  expect(project.notes()).toEqual([{ names: 'before all,blue,red' }])
  const { test: name, changes } = readPostmortem(project)
  expect(name).toBe('fails')
  expect(changes.map(({ table }) => table)).toEqual(['public.notes', 'public.teams'])
  expect(changes[0]?.rows.added).toHaveLength(100)
  expect(changes[1]?.rows.changed).toEqual([{ before: { id: 1, name: 'red' }, now: { id: 1, name: 'changed' } }])
  expect((await inventory({ projectRoot: project.root })).databases.map(({ state }) => state)).toEqual(['ready'])
  await expectNothingLeft(project)
})

test.each(['worker', 'test'])(
  'vitest, scope %s: the database of a failed test is kept with its rows',
  async (scope) => {
    const project = await makeProject(`kept-${scope}`, {
      ...SQL_MIGRATIONS,
      ...NOTE_ESM,
      ...vitestConfig(),
      'testdb.config.js': `export default { keepOnFailure: true, scope: '${scope}' }\n`,
      'a.test.js': vitestFile,
    })
    const { output } = expectExit(await runIn(project, 'vitest', ['run']), 1)
    for (const line of TOLD) expect(output).toMatch(line)
    // The tests after it go on with what the hooks have made.
    expect(project.notes()).toEqual([{ names: scope === 'worker' ? 'before all,blue,red' : 'blue,red' }])
    const kept =
      /kept as postgresql:\/\/testdb@127\.0\.0\.1:\d+\/(testdb_\w+) \(with its password: npx testdb url \1\)/.exec(
        output,
      )?.[1]
    const { databases } = await inventory({ projectRoot: project.root })
    expect(databases.filter(({ state }) => state === 'kept').map(({ name }) => name)).toEqual([kept])
    const { stdout } = expectExit(await runIn(project, 'testdb', ['url', kept ?? '']), 0)
    const count = `import pg from 'pg'
const client = new pg.Client(${JSON.stringify(stdout.trim())})
await client.connect()
const { rows } = await client.query('select (select count(*)::int from notes) as notes, (select array_agg(name order by name) from teams) as teams')
console.log(JSON.stringify(rows[0]))
await client.end()
`
    project.write({ 'look.mjs': count })
    const looked = expectExit(await runIn(project, 'node', ['look.mjs']), 0)
    const teams = scope === 'worker' ? ['before all', 'changed', 'new'] : ['changed', 'new']
    expect(JSON.parse(looked.stdout)).toEqual({ notes: 200, teams })
    expectExit(await runIn(project, 'testdb', ['url', 'testdb_nowhere_1']), 1)
    expectExit(await runIn(project, 'testdb', ['prune']), 0)
    expect((await inventory({ projectRoot: project.root })).databases).toEqual([])
  },
)

test('jest: the same', async () => {
  const project = await makeProject('failed-jest', {
    ...SQL_MIGRATIONS,
    ...NOTE_CJS,
    'package.json': { name: 'failed-jest', private: true, jest: { preset: 'testdb' } },
    'a.test.js': `const pg = require('pg')
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const query = (sql) => pool.query(sql)
afterAll(() => pool.end())
test('fails', async () => {
    ${write}
    expect(1).toBe(2)
})
test('passes', async () => {
  const { rows } = await query('select count(*)::int as n from notes')
  expect(rows).toEqual([{ n: 0 }])
})
`,
  })
  const { output } = expectExit(await runIn(project, 'jest', []), 1)
  for (const line of TOLD) expect(output).toMatch(line)
  expect(output).toContain('1 failed, 1 passed')
  expect(readPostmortem(project).test).toBe('fails')
  expect(existsSync(failures(project))).toBe(true)
  await expectNothingLeft(project)
})
