/** Shards, and two runners at once: different processes that want the same content at the same time. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLUSTER } from '../../helpers/packages.ts'
import { KNEX_CJS, NOTE_CJS, NOTE_ESM, SQL_MIGRATIONS, vitestConfig, writingTest } from '../files.ts'
import { expectExit, expectNothingLeft, makeProject, type Outcome, type Project, runIn } from '../project.ts'
import { inventory } from '../servers.ts'
import { type Registry, startUrlServer, type UrlServer } from './lab.ts'

const FILES = ['a', 'b', 'c', 'd', 'e', 'f']
const SHARDS = ['1/3', '2/3', '3/3']

interface Note {
  readonly file: string
  readonly database: string
}

const files = {
  ...SQL_MIGRATIONS,
  ...NOTE_ESM,
  ...vitestConfig(),
  'package.json': { name: 'sharded', private: true, type: 'module' },
  ...Object.fromEntries(FILES.map((name) => [`${name}.test.js`, writingTest(name)])),
}

const built = (outcomes: readonly Outcome[]): number =>
  outcomes
    .map(({ stderr }) => stderr)
    .join('\n')
    .match(/built template/g)?.length ?? 0

describe('shards at once, one server by URL', () => {
  let server: UrlServer
  let registry: Registry
  beforeAll(async () => {
    server = await startUrlServer()
    registry = await server.registry('shards_test')
  })
  afterAll(() => server?.stop())

  async function green(checkouts: readonly Project[]): Promise<readonly Outcome[]> {
    for (const checkout of checkouts) checkout.clearNotes()
    const outcomes = await Promise.all(
      SHARDS.map((shard, index) => {
        const checkout = checkouts[index % checkouts.length]!
        const env = { TESTDB_URL: registry.url, TESTDB_CACHE_DIR: path.join(checkout.root, 'cache') }
        return runIn(checkout, 'vitest', ['run', `--shard=${shard}`], { env })
      }),
    )
    for (const outcome of outcomes) expectExit(outcome, 0)
    // Each file in one shard, and two tests in each file.
    const notes = checkouts.flatMap((checkout) => checkout.notes<Note>())
    expect(notes.map(({ file }) => file).sort()).toEqual(FILES.flatMap((file) => [file, file]))
    await registry.expectNothingLeft()
    return outcomes
  }

  test('of separate checkouts: the first meeting builds one template', async () => {
    const checkouts = await Promise.all(SHARDS.map((_, index) => makeProject(`shard-${index}`, files)))

    expect(built(await green(checkouts))).toBe(1)

    const { templates } = await registry.inventory()
    expect(templates).toEqual([expect.objectContaining({ state: 'sealed', attempt: 1 })])
  })

  test('of one checkout: the same content, so nothing is built again', async () => {
    const before = await registry.inventory()

    expect(built(await green([await makeProject('shards', files)]))).toBe(0)

    expect((await registry.inventory()).templates).toEqual(before.templates)
  })
})

/** Reads and writes as code that knows nothing of testdb does it, then keeps its database until three others hold theirs. */
const meetingTest = (file: string): string => `
test('${file}', async () => {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
  try {
    const { rows } = await pool.query('select current_database() as database, (select count(*)::int from notes) as notes')
    expect(rows[0].notes).toBe(0)
    note({ file: '${file}', database: rows[0].database })
    const met = () => new Set(readFileSync(process.env.NOTES, 'utf8').trim().split('\\n').map((line) => JSON.parse(line).database))
    const deadline = Date.now() + 60_000
    while (met().size < 4) {
      if (Date.now() > deadline) throw new Error('alone')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect((await pool.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
  } finally {
    await pool.end()
  }
}, 80_000)
`
const forVitest = (file: string): string => `import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Pool } from 'pg'
import { note } from './note.js'
${meetingTest(file)}`
const forJest = (file: string): string => `const { readFileSync } = require('node:fs')
const { Pool } = require('pg')
const { note } = require('./note.js')
${meetingTest(file)}`

test('Vitest and Jest at once on a project that nobody has used: one server, one template, a database for each file', async () => {
  const project = await makeProject('both-runners', {
    'package.json': { name: 'both-runners', private: true },
    ...KNEX_CJS,
    ...NOTE_CJS,
    'vitest.config.mjs': `export default { test: { globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], include: ['**/*.vitest.mjs'], maxWorkers: 2 } }\n`,
    'jest.config.js': `module.exports = { preset: 'testdb', maxWorkers: 2, testMatch: ['**/*.jest.js'] }\n`,
    'a.vitest.mjs': forVitest('a.vitest'),
    'b.vitest.mjs': forVitest('b.vitest'),
    'a.jest.js': forJest('a.jest'),
    'b.jest.js': forJest('b.jest'),
  })

  const outcomes = await Promise.all([runIn(project, 'vitest', ['run']), runIn(project, 'jest', ['-w', '2'])])

  for (const outcome of outcomes) expectExit(outcome, 0)
  const notes = project.notes<Note>()
  expect(notes.map(({ file }) => file).sort()).toEqual(['a.jest', 'a.vitest', 'b.jest', 'b.vitest'])
  expect(new Set(notes.map(({ database }) => database)).size).toBe(4)
  const all = outcomes.map(({ stderr }) => stderr).join('\n')
  expect(all.match(/started embedded/g)).toHaveLength(1)
  expect(built(outcomes)).toBe(1)
  const { templates } = await inventory({ projectRoot: project.root })
  expect(templates).toEqual([expect.objectContaining({ state: 'sealed', attempt: 1 })])
  expect(readFileSync(path.join(project.root, 'node_modules/.cache/testdb', CLUSTER, 'state.json'), 'utf8')).toContain(
    'port',
  )
  await expectNothingLeft(project)
})
