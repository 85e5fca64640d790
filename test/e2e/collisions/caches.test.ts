/** TESTDB_CACHE_DIR: two caches for one project, one cache for two projects, at the same time. */
import path from 'node:path'
import { expect, inject, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig, writingTest } from '../files.ts'
import { expectExit, type Files, makeProject, runIn } from '../project.ts'
import { asAdmin, findLeftovers, inventory, type ServerPlace } from '../servers.ts'

const files: Files = { ...SQL_MIGRATIONS, ...NOTE_ESM, ...vitestConfig(), 'a.test.js': writingTest('a') }

/** Where the home's own clean-up looks too: the default place of a folder of that name. */
const cache = (name: string): string => path.join(inject('e2eHome'), name, 'node_modules', '.cache', 'testdb')

async function expectNothingLeft(place: ServerPlace): Promise<void> {
  await expect.poll(() => findLeftovers(place), { timeout: 10_000 }).toEqual([])
  const runs = await asAdmin(place, async (session) => (await session.query('select from testdb.runs')).rowCount)
  expect(runs).toBe(0)
}

const dataDirOf = (place: ServerPlace): Promise<string> =>
  asAdmin(place, async (session) => String((await session.query('show data_directory')).rows[0]?.data_directory))

test('one project, two caches: two servers that know nothing of each other', async () => {
  const project = await makeProject('caches-one', files)
  const caches = [cache('caches-a'), cache('caches-b')]

  const outcomes = await Promise.all(
    caches.map((folder) => runIn(project, 'vitest', ['run'], { env: { TESTDB_CACHE_DIR: folder } })),
  )

  for (const outcome of outcomes) {
    expectExit(outcome, 0)
    expect(outcome.stderr).toContain('started embedded')
    expect(outcome.stderr).toContain('built template')
  }
  const places = caches.map((cacheDir) => ({ projectRoot: project.root, cacheDir }))
  expect(new Set(await Promise.all(places.map(dataDirOf))).size).toBe(2)
  for (const place of places) {
    expect((await inventory(place)).templates).toEqual([expect.objectContaining({ state: 'sealed', attempt: 1 })])
    await expectNothingLeft(place)
  }
})

test('two projects, one cache: one server, a template for each', async () => {
  const cacheDir = cache('caches-shared')
  const projects = await Promise.all([
    makeProject('caches-first', files),
    makeProject('caches-second', { ...files, 'migrations/003_more.sql': 'create table more (id int);' }),
  ])

  const outcomes = await Promise.all(
    projects.map((project) => runIn(project, 'vitest', ['run'], { env: { TESTDB_CACHE_DIR: cacheDir } })),
  )

  for (const outcome of outcomes) expectExit(outcome, 0)
  const all = outcomes.map(({ stderr }) => stderr).join('\n')
  expect(all.match(/started embedded/g)).toHaveLength(1)
  const place = { projectRoot: projects[0]!.root, cacheDir }
  const { templates, databases } = await inventory(place)
  expect(templates.map(({ state, attempt }) => ({ state, attempt }))).toEqual(
    Array(2).fill({ state: 'sealed', attempt: 1 }),
  )
  expect(new Set(databases.map(({ name }) => name)).size).toBe(2)
  const used = projects.map((project) => project.notes<{ database: string }>()[0]?.database)
  expect(used[0]).toContain('testdb_caches_first')
  expect(used[1]).toContain('testdb_caches_second')
  await expectNothingLeft(place)
})
