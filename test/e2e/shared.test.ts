/** `isolation: 'shared'`, and a server that testdb did not start, on a Postgres of the test's own. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ConnectionTarget, formatUrl, withSession } from '../../src/postgres/index.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { NOTE_ESM, vitestConfig } from './files.ts'
import { expectExit, makeProject, outcomeOf, runIn, startIn } from './project.ts'

const PROCESSES = 6

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server?.stop())

async function database(name: string): Promise<{ url: string; ask<R>(sql: string): Promise<R[]> }> {
  await withSession(server.admin, { applicationName: 'e2e test' }, (session) =>
    session.query(`create database ${name}`),
  )
  const target: ConnectionTarget = { ...server.admin, database: name }
  return {
    url: formatUrl(target),
    ask: async <R>(sql: string) =>
      (
        await withSession(target, { applicationName: 'e2e test' }, (session) =>
          session.query<R & Record<string, unknown>>(sql),
        )
      ).rows,
  }
}

/** The second migration runs outside of a transaction; with SLOW it does not end. */
const files = {
  ...NOTE_ESM,
  ...vitestConfig(),
  'migrations/001_notes.js': `import { note } from '../note.js'
export async function up(knex) {
  await knex.raw('select pg_sleep(0.3)')
  await knex.schema.createTable('notes', (table) => { table.increments(); table.text('body') })
  note({ migrated: 1 })
}
export const down = () => undefined
`,
  'migrations/002_tags.js': `import { note } from '../note.js'
export const config = { transaction: false }
export async function up(knex) {
  note({ migrating: process.env.SLOW ?? 'quickly' })
  await knex.raw('select pg_sleep(?)', [process.env.SLOW ? 60 : 0.3])
  await knex.schema.createTable('tags', (table) => table.increments())
  note({ migrated: 2 })
}
export const down = () => undefined
`,
  'a.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('writes', async ({ db }) => {
  expect(db.url).toBe(process.env.DATABASE_URL)
  await db.query("insert into notes (body) values ('kept')")
  note({ tested: db.name })
})
`,
}

test(`${PROCESSES} runs at once on one database`, async () => {
  const { url, ask } = await database('app_test')
  const project = await makeProject('shared', files)
  const env = { TESTDB_URL: url, TESTDB_ISOLATION: 'shared' }

  const outcomes = await Promise.all(
    Array.from({ length: PROCESSES }, () => runIn(project, 'vitest', ['run'], { env })),
  )

  for (const outcome of outcomes) expectExit(outcome, 0)
  const notes = project.notes<{ migrated?: number; tested?: string }>()
  expect(notes.flatMap(({ migrated }) => migrated ?? [])).toEqual([1, 2])
  expect(notes.flatMap(({ tested }) => tested ?? [])).toEqual(Array(PROCESSES).fill('app_test'))
  expect(await ask('select count(*)::int as n from notes')).toEqual([{ n: PROCESSES }])
  expect(await ask('select name from knex_migrations order by id')).toEqual([
    { name: '001_notes.js' },
    { name: '002_tags.js' },
  ])
  expect(await ask('select is_locked from knex_migrations_lock')).toEqual([{ is_locked: 0 }])
})

test('a lock that a killed run left behind is healed by the next one', async () => {
  const { url, ask } = await database('stuck_test')
  const project = await makeProject('shared-stuck', files)
  const env = { TESTDB_URL: url, TESTDB_ISOLATION: 'shared' }
  const running = startIn(project, 'vitest', ['run'], { env: { ...env, SLOW: '1' } })
  try {
    const begun = (): boolean => project.notes<{ migrating?: string }>().some(({ migrating }) => migrating === '1')
    await expect.poll(begun, { timeout: 30_000 }).toBe(true)
  } finally {
    running.kill('SIGKILL')
  }
  expect(outcomeOf(await running).signal).toBe('SIGKILL')
  expect(await ask('select is_locked from knex_migrations_lock')).toEqual([{ is_locked: 1 }])

  const outcome = expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)

  expect(outcome.stderr).toContain('healed the stuck lock knex_migrations_lock in stuck_test')
  expect(await ask('select is_locked from knex_migrations_lock')).toEqual([{ is_locked: 0 }])
})

test('a database whose name does not say test is refused, and nothing is written', async () => {
  const { url, ask } = await database('production')
  const project = await makeProject('not-disposable', files)
  const everything = `select (select count(*)::int from pg_database) as databases, (select count(*)::int from pg_roles) as roles,
    (select count(*)::int from pg_namespace) as schemas, (select count(*)::int from pg_class) as relations`
  const before = await ask(everything)

  const refused = expectExit(await runIn(project, 'vitest', ['run'], { env: { TESTDB_URL: url } }), 1)

  expect(refused.output).toContain('TESTDB_SERVER_NOT_DISPOSABLE')
  expect(refused.output).toContain('production')
  expect(await ask(everything)).toEqual(before)
  expect(project.notes()).toEqual([])

  const env = { TESTDB_URL: url, TESTDB_ALLOW: '1' }
  expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)
  expect(project.notes<{ tested?: string }>().at(-1)?.tested).toMatch(/^testdb_not_disposabl\w*__producti\w*_\d+$/)
  expect(await ask(`select to_regclass('notes') as table`)).toEqual([{ table: null }])
})
