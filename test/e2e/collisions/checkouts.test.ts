/** Checkouts of one project (branches, worktrees, clones of the repository) that share a server and differ in a migration. */
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from '../files.ts'
import { expectExit, makeProject, type Outcome, type Project, runIn } from '../project.ts'
import { type Registry, startUrlServer, type UrlServer, WAIT_ESM, whileHeld } from './lab.ts'

/** More than the templates of one project that are kept when nobody uses them. */
const CHECKOUTS = 6
const KEPT = 4

interface Note {
  readonly checkout: number
  readonly database: string
  readonly held?: true
}

/** Its own schema, before and after the moment at which all the others run too. */
const suite = (checkout: number): string => `import { afterAll, expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'
import { note } from './note.js'
import { gate } from './wait.js'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
async function look(db) {
  const branches = await pool.query("select relname as name from pg_class where relname ~ '^branch' and relkind = 'r'")
  expect(branches.rows).toEqual([{ name: 'branch${checkout}' }])
  expect((await db.query('insert into branch${checkout} default values returning id')).rows).toEqual([{ id: 1 }])
  expect((await pool.query('select count(*)::int as n from teams')).rows).toEqual([{ n: 2 }])
  note({ checkout: ${checkout}, database: db.name })
}
test('before', ({ db }) => look(db))
test('together', async ({ db }) => {
  await look(db)
  note({ checkout: ${checkout}, database: db.name, held: true })
  await gate()
}, 90_000)
test('after', ({ db }) => look(db))
`

const script = `import { createTestDb } from 'testdb'
const testdb = await createTestDb()
await (await testdb.acquire()).release()
await testdb.close()
`

let server: UrlServer
let registry: Registry
let checkouts: Project[]
beforeAll(async () => {
  server = await startUrlServer()
  registry = await server.registry('checkouts_test')
  checkouts = await Promise.all(
    Array.from({ length: CHECKOUTS }, (_, index) =>
      makeProject(`checkout-${index}`, {
        ...SQL_MIGRATIONS,
        ...NOTE_ESM,
        ...WAIT_ESM,
        ...vitestConfig(),
        'package.json': { name: 'app', private: true, type: 'module' },
        'migrations/003_branch.sql': `create table branch${index} (id int generated always as identity primary key);`,
        'a.test.js': suite(index),
        'script.js': script,
      }),
    ),
  )
})
afterAll(() => server?.stop())

const notes = (): Note[] => checkouts.flatMap((checkout) => checkout.notes<Note>())

test.each(['cold', 'warm'])(
  `${CHECKOUTS} checkouts at once, %s: each has its own schema, none loses its template`,
  async () => {
    for (const checkout of checkouts) checkout.clearNotes()
    const gate = path.join(checkouts[0]!.root, 'gate')
    const env = { TESTDB_URL: registry.url, GATE: gate }
    const runs = checkouts.map((checkout) => runIn(checkout, 'vitest', ['run'], { env }))
    const held = (): Note[] => notes().filter((note) => note.held)

    await whileHeld({ runs, gate, arrived: () => held().length === CHECKOUTS }, async () => {
      const before = await registry.inventory()
      const alive = before.templates.filter(({ state, oid }) => state === 'sealed' && oid !== null)
      expect(alive).toHaveLength(CHECKOUTS)
      const inUse = held().map(({ database }) => database)
      expect(new Set(inUse).size).toBe(CHECKOUTS)

      // Whoever cleans up now, with no patience at all, finds nothing that may go.
      const pruned = expectExit(await prune(), 0)
      const after = await registry.inventory()
      expect(after.templates).toEqual(before.templates)
      expect(after.databases.map(({ name }) => name)).toEqual(expect.arrayContaining(inUse))
      for (const name of inUse) expect(pruned.stdout).not.toContain(name)
    })

    const seen = notes()
    expect(seen).toHaveLength(CHECKOUTS * 4)
    for (let index = 0; index < CHECKOUTS; index++) {
      const own = new Set(seen.filter(({ checkout }) => checkout === index).map(({ database }) => database))
      expect(own.size).toBe(1)
    }
    await registry.expectNothingLeft()
  },
)

test('what is too much goes when nobody uses it any more', async () => {
  expectExit(await runIn(checkouts[0]!, 'node', ['script.js'], { env: { TESTDB_URL: registry.url } }), 0)

  const { templates } = await registry.inventory()
  expect(templates.filter(({ state }) => state === 'sealed')).toHaveLength(KEPT)
  expect(templates.filter(({ oid }) => oid !== null)).toHaveLength(KEPT)
  await registry.expectNothingLeft()
})

function prune(): Promise<Outcome> {
  return runIn(checkouts[0]!, 'testdb', ['prune', '--keep-days', '0'], { env: { TESTDB_URL: registry.url } })
}
