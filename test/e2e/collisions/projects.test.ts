/** Several projects in one Vitest process: each must get what its own folder says. */
import { cpSync, rmSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, VITEST_WIRING } from '../files.ts'
import {
  expectExit,
  expectNothingLeft,
  type Files,
  makeProject,
  type Outcome,
  type Project,
  runIn,
} from '../project.ts'
import { inventory } from '../servers.ts'
import { extraPackages, linkPackages, WAIT_ESM } from './lab.ts'

const VITEST_3 = '3.2.7'

interface Note {
  readonly project: string
  readonly database: string
  readonly pool: string
}

/** A folder with migrations and a configuration of its own; its test finds exactly these. */
const folder = (name: string, variable: string): Files => ({
  [`${name}/package.json`]: { name: `workspace-${name}`, private: true, type: 'module' },
  [`${name}/testdb.config.js`]: `export default { env: ['${variable}'] }\n`,
  [`${name}/migrations/001_${name}.sql`]: `create table ${name} (id int generated always as identity primary key);`,
  [`${name}/${name}.test.js`]: `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from '../note.js'
for (const round of [1, 2]) test('${name} ' + round, async ({ db }) => {
  expect(process.env.${variable}).toBe(db.url)
  const tables = await db.query("select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'testdb_migrations'")
  expect(tables.rows).toEqual([{ name: '${name}' }])
  expect((await db.query('insert into ${name} default values returning id')).rows).toEqual([{ id: 1 }])
  note({ project: '${name}', database: db.name, pool: process.env.VITEST_POOL_ID })
})
`,
})

async function green(project: Project, args: string[] = []): Promise<{ notes: Note[]; outcome: Outcome }> {
  project.clearNotes()
  const outcome = expectExit(await runIn(project, 'vitest', ['run', ...args]), 0)
  await expectNothingLeft(project)
  return { notes: project.notes<Note>(), outcome }
}

describe('folders of their own', () => {
  let project: Project
  beforeAll(async () => {
    project = await makeProject('projects-folders', {
      'package.json': { name: 'workspace', private: true, type: 'module', workspaces: ['apples', 'pears'] },
      ...NOTE_ESM,
      ...folder('apples', 'APPLES_URL'),
      ...folder('pears', 'PEARS_URL'),
    })
  })

  const each = `{ test: { projects: ['apples', 'pears'].map((name) => ({ test: { name, root: './' + name, ${VITEST_WIRING} } })) } }`
  const extending = `{ test: { ${VITEST_WIRING}, projects: ['apples', 'pears'].map((name) => ({ extends: true, test: { name, root: './' + name } })) } }`
  const mixed = `{ test: { projects: [['apples', 'forks'], ['pears', 'threads']].map(([name, pool]) => ({ test: { name, pool, root: './' + name, ${VITEST_WIRING} } })) } }`

  test.each([
    ['globalSetup in each project', each],
    ['globalSetup at the root, inherited', extending],
    ['processes and threads', mixed],
  ])('%s', async (_name, config) => {
    project.write({ 'vitest.config.js': `export default ${config}\n` })

    const { notes } = await green(project)

    expect(notes.map((note) => note.project).sort()).toEqual(['apples', 'apples', 'pears', 'pears'])
    expect(new Set(notes.map(({ database }) => database)).size).toBe(2)
    for (const note of notes) expect(note.database).toContain(`workspace_${note.project}`.slice(0, 13))
    const { templates } = await inventory({ projectRoot: project.root })
    expect(templates.filter(({ state }) => state === 'sealed')).toHaveLength(2)
  })

  test('a root without migrations whose database the projects take: they are told', async () => {
    const config = `{ test: { globalSetup: ['testdb/vitest'], projects: [{ test: { root: './apples', setupFiles: ['testdb/vitest/setup'] } }] } }`
    project.write({ 'vitest.config.js': `export default ${config}\n` })

    const outcome = expectExit(await runIn(project, 'vitest', ['run']), 1)

    expect(outcome.output).toContain('TESTDB_MIGRATOR_MISSING')
    expect(outcome.output).toContain('apples.test.js')
  })
})

test(`Vitest ${VITEST_3}: a process and a thread with the same pool id hold different databases at once`, async () => {
  const packages = await extraPackages('vitest-3', [`vitest@${VITEST_3}`])
  // Its own copy of testdb: `import 'vitest'` in it must find this Vitest.
  const copy = path.join(packages, 'node_modules', 'testdb')
  rmSync(copy, { recursive: true, force: true })
  cpSync(path.join(inject('e2eHome'), 'node_modules', 'testdb'), copy, { recursive: true, verbatimSymlinks: true })
  const meeting = (name: string): string => `import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
import { until } from './wait.js'
test('meets', async ({ db }) => {
  note({ project: '${name}', database: db.name, pool: process.env.VITEST_POOL_ID, thread: !isMainThread })
  await until(() => readFileSync(process.env.NOTES, 'utf8').trim().split('\\n').length === 2)
  expect((await db.query('insert into notes (team_id) values (1) returning id')).rows).toEqual([{ id: 1 }])
}, 30_000)
`
  const project = await makeProject('projects-mixed', {
    ...SQL_MIGRATIONS,
    'migrations/003_optional.sql': 'alter table notes alter body drop not null;',
    ...NOTE_ESM,
    ...WAIT_ESM,
    'vitest.config.js': `export default { test: { projects: ['forks', 'threads'].map((name) => ({
      test: { name, pool: name, include: [name + '.test.js'], ${VITEST_WIRING} },
    })) } }\n`,
    'forks.test.js': meeting('forks'),
    'threads.test.js': meeting('threads'),
  })
  linkPackages(packages, project.root, ['vitest', 'testdb'])

  const bin = path.join(packages, 'node_modules', 'vitest', 'vitest.mjs')
  // The second time both prefer the database that a worker of that pool id had before.
  for (const _round of ['cold', 'warm']) {
    project.clearNotes()
    const outcome = expectExit(await runIn(project, 'node', [bin, 'run']), 0)

    expect(outcome.stdout).toContain(`v${VITEST_3}`)
    const notes = project.notes<Note & { thread: boolean }>()
    expect(notes.map(({ pool }) => pool)).toEqual(['1', '1'])
    expect(notes.map(({ thread }) => thread).sort()).toEqual([false, true])
    expect(new Set(notes.map(({ database }) => database)).size).toBe(2)
  }
  await expectNothingLeft(project)
})
