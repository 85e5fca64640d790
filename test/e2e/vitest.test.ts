/** Real Vitest on the installed package: pools, isolation, projects, shards, wiring. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, VITEST_WIRING, vitestConfig, writingTest } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, type Outcome, type Project, runIn } from './project.ts'
import { inventory } from './servers.ts'

interface Note {
  readonly file: string
  readonly database: string
  readonly pid: number
  readonly pool: string
}

const FILES = ['a', 'b', 'c', 'd']
const testFiles = Object.fromEntries(FILES.map((name) => [`${name}.test.js`, writingTest(name)]))

/** Runs, expects success and nothing left behind, and returns what the tests noted. */
async function green(
  project: Project,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ notes: Note[]; outcome: Outcome }> {
  project.clearNotes()
  const outcome = expectExit(await runIn(project, 'vitest', ['run', ...args], { env }), 0)
  await expectNothingLeft(project)
  return { notes: project.notes<Note>(), outcome }
}

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)]

describe('one project', () => {
  let project: Project
  beforeAll(async () => {
    project = await makeProject('vitest-matrix', { ...SQL_MIGRATIONS, ...NOTE_ESM, ...vitestConfig(), ...testFiles })
  })

  test.each([
    ['forks', []],
    ['threads', []],
    ['vmThreads', []],
    ['vmForks', []],
    ['forks', ['--no-file-parallelism']],
    ['forks', ['--sequence.shuffle', '--bail=1']],
  ])('pool %s %j', async (pool, more) => {
    const { notes } = await green(project, ['--pool', pool, '--maxWorkers=2', ...more])

    expect(notes).toHaveLength(8)
    expect(distinct(notes.map(({ database }) => database)).length).toBeLessThanOrEqual(2)
  })

  test.each(['forks', 'threads'])('pool %s without isolation: a worker keeps its database', async (pool) => {
    const { notes } = await green(project, ['--pool', pool, '--no-isolate', '--maxWorkers=2'])

    expect(notes).toHaveLength(8)
    for (const worker of distinct(notes.map((note) => note.pool))) {
      const its = notes.filter((note) => note.pool === worker)
      expect(distinct(its.map(({ database }) => database))).toHaveLength(1)
    }
    // A second worker must have another one at the same time.
    expect(distinct(notes.map(({ database }) => database)).length).toBe(distinct(notes.map((note) => note.pool)).length)
  })

  test('two shards at once', async () => {
    project.clearNotes()
    const shards = await Promise.all(
      ['1/2', '2/2'].map((shard) => runIn(project, 'vitest', ['run', `--shard=${shard}`])),
    )

    for (const outcome of shards) expectExit(outcome, 0)
    expect(distinct(project.notes<Note>().map(({ file }) => file)).sort()).toEqual(FILES)
    await expectNothingLeft(project)
  })

  test('all of that with the first template and few databases', async () => {
    const { templates, databases } = await inventory({ projectRoot: project.root })

    expect(templates).toEqual([expect.objectContaining({ state: 'sealed', attempt: 1 })])
    expect(databases.length).toBeLessThanOrEqual(4)
  })

  test('progress goes to stderr, so that a report on stdout can be read', async () => {
    const { outcome } = await green(project, ['--reporter=json'], { TESTDB_POOL_MAX: 'many' })

    expect(outcome.stderr).toContain('TESTDB_POOL_MAX is ignored')
    expect(outcome.stdout).not.toContain('testdb:')
    // Vitest 5 writes it into a file and says where.
    const file = /^JSON report written to (.+)$/m.exec(outcome.stdout)?.[1]
    const report = file === undefined ? outcome.stdout : readFileSync(file, 'utf8')
    expect(JSON.parse(report)).toMatchObject({ success: true, numPassedTests: 8 })
  })

  test('no test files matched: nothing is started', async () => {
    const outcome = expectExit(await runIn(project, 'vitest', ['run', 'no-such-file']), 1)

    expect(outcome.output).toContain('No test files found')
    expect(outcome.output).not.toContain('testdb:')
  })
})

test('several files hold different databases at once, each known before the file is imported', async () => {
  const meeting = (name: string): string => `import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { note } from './note.js'
const atImport = process.env.DATABASE_URL
test('meets the others', async () => {
  expect(process.env.DATABASE_URL).toBe(atImport)
  expect(new URL(atImport).pathname.slice(1)).toBe(process.env.PGDATABASE)
  note({ file: '${name}', database: process.env.PGDATABASE })
  await expect.poll(() => new Set(readFileSync(process.env.NOTES, 'utf8').trim().split('\\n').map((line) => JSON.parse(line).database)).size, { timeout: 20_000 }).toBe(3)
}, 30_000)
`
  const project = await makeProject('vitest-meeting', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    ...Object.fromEntries(['a', 'b', 'c'].map((name) => [`${name}.test.js`, meeting(name)])),
  })

  const { notes } = await green(project, ['--maxWorkers=3'])

  expect(distinct(notes.map(({ database }) => database))).toHaveLength(3)
})

const SETUPS = {
  'own-setup.js': `import { note } from './note.js'
export default () => { note({ setup: true }); return () => note({ teardown: true }) }
`,
  'own-setup-file.js': `import { note } from './note.js'
note({ setupFile: process.env.DATABASE_URL !== undefined })
`,
}

describe('wiring', () => {
  let project: Project
  const plain = `import { expect, test } from 'vitest'
import { note } from './note.js'
test('has a database', () => {
  expect(process.env.DATABASE_URL).toMatch(/testdb_/)
  note({ database: process.env.PGDATABASE })
})
`
  beforeAll(async () => {
    project = await makeProject('vitest-wiring', {
      ...SQL_MIGRATIONS,
      ...NOTE_ESM,
      ...SETUPS,
      'a.test.js': plain,
      'b.test.js': plain,
    })
  })

  const run = async (config: string): Promise<{ notes: Note[]; outcome: Outcome }> => {
    project.write({ 'vitest.config.js': `import testdb from 'testdb/vitest/plugin'\nexport default ${config}\n` })
    return green(project, ['--maxWorkers=2'])
  }
  /** Set up once for all projects: the choice of the migrator is printed by each set-up. */
  const expectOneSetup = ({ stderr }: Outcome): void => {
    expect(stderr.match(/testdb: using sql/g), stderr).toHaveLength(1)
  }

  test('the plugin, beside files of the user', async () => {
    const { notes, outcome } = await run(
      `{ plugins: [testdb()], test: { globalSetup: './own-setup.js', setupFiles: ['./own-setup-file.js'] } }`,
    )
    expectOneSetup(outcome)
    expect(notes.filter((note) => 'setup' in note || 'teardown' in note)).toHaveLength(2)
    expect(notes.filter((note) => 'setupFile' in note)).toEqual([{ setupFile: true }, { setupFile: true }])
  })

  test.each(['before', 'after'])("the user's globalSetup %s ours", async (place) => {
    const list = place === 'before' ? `['./own-setup.js', 'testdb/vitest']` : `['testdb/vitest', './own-setup.js']`
    const { notes } = await run(`{ test: { globalSetup: ${list}, setupFiles: ['testdb/vitest/setup'] } }`)

    expect(notes.map((note) => Object.keys(note)[0])).toEqual(['setup', 'database', 'database', 'teardown'])
  })

  const projects: [name: string, config: string][] = [
    [
      'globalSetup at the root, one project extends it',
      `{ test: { globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'], projects: [
        { extends: true, test: { name: 'one', include: ['a.test.js'] } },
        { test: { name: 'two', include: ['b.test.js'], setupFiles: ['testdb/vitest/setup'] } },
      ] } }`,
    ],
    [
      'globalSetup in each project',
      `{ test: { projects: ['a', 'b'].map((name) => ({ test: { name, include: [name + '.test.js'], ${VITEST_WIRING} } })) } }`,
    ],
    [
      'the plugin at the root, inherited',
      `{ plugins: [testdb()], test: { projects: ['a', 'b'].map((name) => ({ extends: true, test: { name, include: [name + '.test.js'] } })) } }`,
    ],
    [
      'the plugin in each project',
      `{ test: { projects: ['a', 'b'].map((name) => ({ plugins: [testdb()], test: { name, include: [name + '.test.js'] } })) } }`,
    ],
  ]
  test.each(projects)('projects: %s', async (_name, config) => {
    const { notes, outcome } = await run(config)

    expectOneSetup(outcome)
    expect(notes).toHaveLength(2)
  })

  test('a setup file without the globalSetup says what is missing', async () => {
    project.write({ 'vitest.config.js': `export default { test: { setupFiles: ['testdb/vitest/setup'] } }\n` })

    const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)

    expect(outcome.output).toContain('TESTDB_RUN_MISSING')
    expect(outcome.output).toContain("add `globalSetup: ['testdb/vitest']`")
  })
})

test('fixtures without the setup file: only files that use `db` lease one', async () => {
  const project = await makeProject('vitest-fixtures', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    'vitest.config.js': `export default { test: { globalSetup: ['testdb/vitest'] } }\n`,
    'uses.test.js': `import { expect, vi } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
for (const round of [1, 2]) test('uses ' + round, async ({ db }) => {
  expect((await db.query('select count(*)::int as n from notes')).rows).toEqual([{ n: 0 }])
  await db.query("insert into notes (body) values ('x')")
  note({ database: db.name })
})
`,
    'none.test.js': `import { expect, test } from 'vitest'
import { test as ours } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('plain', () => expect(process.env.DATABASE_URL).toBeUndefined())
ours('of ours that does not use it', () => note({ database: process.env.PGDATABASE ?? 'none' }))
`,
  })

  const { notes } = await green(project, ['--maxWorkers=2'])

  const { databases } = await inventory({ projectRoot: project.root })
  expect(databases).toHaveLength(1)
  const used = databases[0]?.name
  expect(notes.map(({ database }) => database).sort()).toEqual(['none', used, used])
})

test('fixtures without the setup file and without isolation: every file puts back what it wrote', async () => {
  const suite = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
for (const round of [1, 2]) test('writes ' + round, async ({ db }) => {
  expect((await db.query("insert into notes (body) values ('x') returning id")).rows).toEqual([{ id: 1 }])
  note({ database: db.name })
})
`
  const project = await makeProject('vitest-fixtures-shared', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    'vitest.config.js': `export default { test: { globalSetup: ['testdb/vitest'], isolate: false, maxWorkers: 1 } }\n`,
    ...Object.fromEntries(['a', 'b', 'c'].map((name) => [`${name}.test.js`, suite])),
  })

  const { notes } = await green(project, [])

  expect(notes).toHaveLength(6)
  expect(distinct(notes.map(({ database }) => database))).toHaveLength(1)
  await green(project, [])
})

test('files that end badly leave nothing to the next', async () => {
  const project = await makeProject('vitest-hazards', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(`${VITEST_WIRING}, testTimeout: 500, sequence: { sequencer: class {
      async sort(files) { return files.sort((a, b) => (a.moduleId < b.moduleId ? -1 : 1)) }
      async shard(files) { return files }
    } }`),
    '1-throws.test.js': `throw new Error('at import')\n`,
    '2-timeout.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('times out with a query at work', async ({ db }) => {
  await db.query("insert into notes (body) select 'late' from pg_sleep(20)")
})
test('times out in a transaction of its own', async ({ db }) => {
  const client = await db.pool.connect()
  await client.query('begin')
  await client.query("insert into notes (body) values ('open')")
  await new Promise(() => undefined)
})
test('finds a clean state', async ({ db }) => {
  expect((await db.query('select * from notes')).rows).toEqual([])
  note({ clean: 'next test' })
})
`,
    '3-clean.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
test('finds a clean state', async ({ db }) => {
  expect((await db.query('select * from notes')).rows).toEqual([])
  note({ clean: 'next file' })
})
`,
  })

  const outcome = expectExit(await runIn(project, 'vitest', ['run', '--maxWorkers=1']), 1)

  expect(outcome.output).toContain('Test Files  2 failed | 1 passed (3)')
  expect(outcome.output).toContain('Tests  2 failed | 2 passed (4)')
  // testdb ends the sessions of the tests that timed out: that must be a warning, not an error in the worker.
  expect(outcome.output).toMatch(
    /ended 1 session\(s\) that still worked on testdb_\w+ after the test "times out with a query at work": pid \d+ .*insert into notes/,
  )
  expect(outcome.output).toContain(
    'idleInTransaction: "times out in a transaction of its own" left 1 session idle in a transaction',
  )
  expect(outcome.output).not.toContain('Uncaught Exception')
  expect(project.notes()).toEqual([{ clean: 'next test' }, { clean: 'next file' }])
  await expectNothingLeft(project)
})
