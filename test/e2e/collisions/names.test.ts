/** Project names that are hard to tell apart or hard to write, all at once on one server whose database has such a name too. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseExists, withSession } from '../../../src/postgres/index.ts'
import { SQL_MIGRATIONS } from '../files.ts'
import { expectExit, makeProject, type Project, runIn } from '../project.ts'
import { type Registry, startUrlServer, type UrlServer } from './lab.ts'

const LONG = 'x'.repeat(213)

/** Pairs and triples of them become the same word when everything but letters, digits and `_` is dropped. */
const NAMES = [
  `${LONG}a`,
  `${LONG}b`,
  'a-b',
  'a_b',
  'axb',
  '@a/b',
  'A-B',
  '%',
  '_',
  '1st-100%-"done"_isn\'t',
  'ünïcödé-プロジェクト',
  'プロジェクト',
]

/** 63 bytes, the most that Postgres keeps, and every character that needs quoting somewhere. */
const DATABASE = `Test "app" 100%_it's-ü ${'y'.repeat(63)}`.slice(0, 62)

/** Prints what it was given, and keeps it until its standard input ends: all of them hold a database at the same time. */
const script = `import { createTestDb } from 'testdb'
const testdb = await createTestDb()
const [one, two] = await Promise.all([testdb.acquire(), testdb.acquire()])
const own = await one.query("select relname as name from pg_class where relname like 'own%' and relkind = 'r'")
await one.query("insert into teams (name) values ('green')")
await one.reset()
const { rows } = await one.query('select count(*)::int as n from teams')
console.log(JSON.stringify({ names: [one.name, two.name], own: own.rows.map(({ name }) => name), teams: rows[0].n }))
await testdb.close()
`

interface Printed {
  readonly names: readonly string[]
  readonly own: readonly string[]
  readonly teams: number
}

let server: UrlServer
let registry: Registry
let projects: Project[]
beforeAll(async () => {
  server = await startUrlServer()
  registry = await server.registry(DATABASE)
  projects = await Promise.all(
    NAMES.map((name, index) =>
      makeProject(`names-${index}`, {
        ...SQL_MIGRATIONS,
        'package.json': { name, private: true, type: 'module' },
        'migrations/003_own.sql': `create table own${index} (id int);`,
        'script.js': script,
      }),
    ),
  )
})
afterAll(() => server?.stop())

const all = async (): Promise<Printed[]> => {
  const outcomes = await Promise.all(
    projects.map((project) => runIn(project, 'node', ['script.js'], { env: { TESTDB_URL: registry.url } })),
  )
  return outcomes.map((outcome) => JSON.parse(expectExit(outcome, 0).stdout) as Printed)
}

test(`${NAMES.length} projects at once: each finds its own migrations in databases of its own`, async () => {
  expect(Buffer.byteLength(DATABASE)).toBe(63)
  const printed = await all()

  for (const [index, { own, teams }] of printed.entries())
    expect({ own, teams }).toEqual({ own: [`own${index}`], teams: 2 })
  const names = printed.flatMap((one) => one.names)
  expect(new Set(names).size).toBe(NAMES.length * 2)
  const prefixes = printed.map((one) => one.names.map((name) => name.replace(/_\d+$/, '')))
  for (const [one, two] of prefixes) expect(one).toBe(two)
  expect(new Set(prefixes.map(([prefix]) => prefix)).size).toBe(NAMES.length)
  // Every name on the server, those of templates too: written in full, and nothing that needs quoting.
  const onServer = await registry.ask<{ name: string }>(
    `select datname as name from pg_database where datname ~ '^testdb'`,
  )
  expect(onServer).toHaveLength(NAMES.length * 3)
  for (const { name } of onServer) expect(name).toMatch(/^testdb_[a-z0-9_]{1,55}$/)
  await registry.expectNothingLeft()
})

test.each(['%', 'a_b'])('reset --all of %s drops what is its own and nothing else', async (name) => {
  const index = NAMES.indexOf(name)
  const before = await registry.inventory()

  const outcome = await runIn(projects[index]!, 'testdb', ['reset', '--all'], { env: { TESTDB_URL: registry.url } })

  expectExit(outcome, 0)
  const after = await registry.inventory()
  const project = name.replace(/^@/, '')
  const templates = await registry.ask<{ name: string; project: string }>('select name, project from testdb.templates')
  const gone = templates.filter((template) => template.project === project).map((template) => template.name)
  expect(gone).toHaveLength(1)
  expect(after.templates.filter(({ oid }) => oid !== null)).toEqual(
    before.templates.filter(({ oid, name: template }) => oid !== null && !gone.includes(template)),
  )
  expect(before.databases.length - after.databases.length).toBe(2)
  expect(before.databases).toEqual(expect.arrayContaining([...after.databases]))
  await withSession(registry.target, { applicationName: 'e2e test' }, async (session) => {
    for (const { name: kept } of after.databases) expect(await databaseExists(session, kept)).toBe(true)
  })
  await registry.expectNothingLeft()
})
