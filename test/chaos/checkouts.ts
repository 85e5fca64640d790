/** The checkouts of the campaign: packages of one workspace, and so on one server, with two sets of migrations. */
import type { Files } from '../e2e/project.ts'

/** `reset: 'clone'` in one of them: replacing databases is a protocol of its own. */
export const CHECKOUTS = {
  'shop-1': { weight: 2, set: 'shop', reset: 'truncate' },
  'shop-2': { weight: 2, set: 'shop', reset: 'truncate' },
  blog: { weight: 3, set: 'blog', reset: 'clone' },
} as const
export type CheckoutName = keyof typeof CHECKOUTS
export type MigrationSet = 'shop' | 'blog'

/** Rows of each table in a migrated database, and the id that the next row of `notes` gets. */
const CONTENT = {
  shop: { teams: 2, notes: 0, prices: 50, stock: 50, cache: 2 },
  blog: { authors: 3, notes: 0, posts: 40, tags: 5 },
} as const

const knexMigration = (body: string): string => `exports.up = async (knex) => {
  await knex.raw('select pg_sleep(0.15)')
${body}
}
exports.down = () => undefined
`

const numbered = (count: number): string => `Array.from({ length: ${count} }, (_, n) => ({ name: 'row ' + n }))`

const MIGRATIONS: Readonly<Record<MigrationSet, Files>> = {
  shop: {
    'knexfile.js': `module.exports = { client: 'pg', connection: process.env.REFERENCE_URL, migrations: { directory: './migrations' } }\n`,
    'migrations/001_teams.js':
      knexMigration(`  await knex.schema.createTable('teams', (t) => { t.increments(); t.text('name').unique() })
  await knex('teams').insert(${numbered(2)})`),
    'migrations/002_notes.js': knexMigration(
      `  await knex.schema.createTable('notes', (t) => { t.increments(); t.integer('team_id').references('teams.id'); t.text('body') })`,
    ),
    'migrations/003_prices.js':
      knexMigration(`  await knex.schema.createTable('prices', (t) => { t.increments(); t.text('name').index() })
  await knex('prices').insert(${numbered(50)})`),
    'migrations/004_stock.js':
      knexMigration(`  await knex.schema.createTable('stock', (t) => { t.increments(); t.text('name'); t.integer('price_id').references('prices.id') })
  await knex('stock').insert(${numbered(50)})`),
    // What the crash of a server empties.
    'migrations/005_cache.js':
      knexMigration(`  await knex.raw('create unlogged table cache (key text primary key, value text)')
  await knex('cache').insert([{ key: 'a', value: '1' }, { key: 'b', value: '2' }])`),
  },
  blog: {
    'migrations/001_authors.sql': `select pg_sleep(0.2);
create table authors (id int generated always as identity primary key, name text not null);
insert into authors (name) select 'author ' || n from generate_series(1, 3) n;`,
    'migrations/002_notes.sql': `create table notes (id int generated always as identity primary key, team_id int references authors, body text);
select pg_sleep(0.2);`,
    'migrations/003_posts.sql': `create table posts (id serial primary key, author_id int not null references authors, title text not null);
insert into posts (author_id, title) select 1 + n % 3, 'post ' || n from generate_series(1, 40) n;
create index on posts (title);
select pg_sleep(0.2);`,
    'migrations/004_tags.sql': `create table tags (name text primary key);
insert into tags select 'tag ' || n from generate_series(1, 5) n;`,
  },
}

/**
 * What every test of every runner does. An error of the test's own statements is not testdb's and says so; anything
 * else than the migrated state is what may never be seen, however hard the run was hit.
 */
const sharedCode = (set: MigrationSet): string => `const expected = ${JSON.stringify(CONTENT[set])}
const columns = Object.keys(expected).map((name) => '(select count(*)::int from ' + name + ') as ' + name)
exports.useDatabase = async (query) => {
  let found
  let id
  try {
    found = (await query('select ' + columns.join(', '))).rows[0]
    id = (await query("insert into notes (team_id, body) values (1, 'x') returning id")).rows[0].id
    await query('select pg_sleep(0.05)')
    await query("insert into notes (body) select 'y' from generate_series(1, 20)")
  } catch (error) {
    throw new Error('USER ' + 'STATEMENT FAILED: ' + error.message)
  }
  if (JSON.stringify({ ...found, id }) !== JSON.stringify({ ...expected, id: 1 })) {
    // In two parts: runners print the lines around an error.
    throw new Error('WRONG ' + 'RESULT: ' + JSON.stringify({ ...found, id }))
  }
}
`

const vitestFile = `import { afterAll } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'
import { useDatabase } from '../shared.js'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
pool.on('error', () => undefined)
afterAll(() => pool.end())
test('own pool', () => useDatabase((sql) => pool.query(sql)))
test('fixture', ({ db }) => useDatabase((sql) => db.query(sql)))
test('own pool again', () => useDatabase((sql) => pool.query(sql)))
`

const jestFile = `const { Pool } = require('pg')
const { useDatabase } = require('../shared.js')

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
pool.on('error', () => undefined)
afterAll(() => pool.end())
test.each([1, 2, 3])('own pool %i', () => useDatabase((sql) => pool.query(sql)))
`

/** Says of every failure whether it is a coded one and in which call it came. */
const script = `import { createTestDb } from 'testdb'
import { useDatabase } from './shared.js'

async function call(name, work) {
  try {
    return await work()
  } catch (error) {
    const coded = /^TESTDB_/.test(error.code ?? '') || /^(USER STATEMENT FAILED|WRONG RESULT)/.test(error.message)
    console.log((coded ? 'FAILED ' : 'RAW ERROR ') + name + ': ' + error.message + (coded ? '' : '\\n' + error.stack))
    throw error
  }
}

let testdb
try {
  testdb = await call('createTestDb', () => createTestDb())
  const databases = [await call('acquire', () => testdb.acquire()), await call('acquire', () => testdb.acquire())]
  for (const db of databases) {
    await call('query', () => useDatabase((sql) => db.query(sql)))
    await call('reset', () => db.reset())
    await call('query', () => useDatabase((sql) => db.query(sql)))
  }
  await call('release', () => databases[0].release())
} catch {
  process.exitCode = 1
} finally {
  await call('close', () => testdb?.close()).catch(() => {
    process.exitCode = 1
  })
}
`

const child = `import pg from 'pg'
import { useDatabase } from './shared.js'

const client = new pg.Client(process.env.DATABASE_URL)
client.on('error', () => undefined)
try {
  await client.connect().catch((error) => {
    throw new Error('USER STATEMENT FAILED: ' + error.message)
  })
  await useDatabase((sql) => client.query(sql))
} catch (error) {
  console.log(error.message)
  process.exitCode = 1
}
await client.end().catch(() => undefined)
`

function checkout(name: CheckoutName): Files {
  const { set, reset } = CHECKOUTS[name]
  const limits = 'testTimeout: 60_000, hookTimeout: 60_000, teardownTimeout: 30_000'
  return {
    'package.json': { name, private: true },
    'testdb.config.mjs': `export default { reset: '${reset}' }\n`,
    ...MIGRATIONS[set],
    'shared.js': sharedCode(set),
    'vitest.config.mjs': `export default { test: {
  globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], include: ['vitest/*.test.mjs'], maxWorkers: 2, ${limits},
} }\n`,
    'vitest/a.test.mjs': vitestFile,
    'vitest/b.test.mjs': vitestFile,
    'jest.config.js': `module.exports = {
  preset: 'testdb', testMatch: ['**/jest/*.test.js'], maxWorkers: 2, testTimeout: 60_000, transform: {}, cacheDirectory: '.jest',
}\n`,
    'jest/a.test.js': jestFile,
    'jest/b.test.js': jestFile,
    'script.mjs': script,
    'child.mjs': child,
  }
}

/** The files of the workspace. */
export function workspaceFiles(): Files {
  const names = Object.keys(CHECKOUTS) as CheckoutName[]
  const files: Record<string, string | object> = {
    'package.json': { name: 'chaos', private: true, workspaces: names },
  }
  for (const name of names) {
    for (const [file, content] of Object.entries(checkout(name))) files[`${name}/${file}`] = content
  }
  return files
}
