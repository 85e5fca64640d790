/** What is kept and written of a failed test. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WorkerDatabase } from '../../src/databases/database.ts'
import type { ResetName } from '../../src/databases/reset/strategy.ts'
import { withSession } from '../../src/postgres/index.ts'
import { reportFailure } from '../../src/runners/failed-test.ts'
import { type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let projectRoot: string
let printed: string
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  projectRoot = mkdtempSync(path.join(tmpdir(), 'testdb-failed-'))
  printed = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  for (const name of kept()) await world.session.query(`drop database "${name}" with (force)`)
  await run.end()
  await world.close()
  rmSync(projectRoot, { recursive: true })
})

const kept = (): string[] => [...printed.matchAll(/kept as \S+\/(\w+) /g)].map(([, name]) => name ?? '')

async function open(reset: ResetName, keepOnFailure: boolean) {
  const template = await world.template({ sql: 'create table t (n int)', reset }, run)
  const context = { ...world.context(run, template, { reset }), projectRoot, keepOnFailure }
  const lease = await world.acquire(context)
  return { context, database: new WorkerDatabase(context, lease, '1') }
}

test.each(['rollback', 'truncate', 'clone'] as const)(
  '%s: what went past db is kept, and nobody says that nothing was changed',
  async (reset) => {
    const { context, database } = await open(reset, true)
    {
      await using session = await world.connect(database.name, 'role')
      await session.query('insert into t values (7)')
    }
    await reportFailure(context, database, { name: 'pays', file: path.join(projectRoot, 'a.test.ts') })
    expect(printed).toMatch(/^testdb: "pays" failed in \w+\ntestdb: {3}kept as \S+ \(.*\)\n$/)
    const rows = await withSession(
      { ...context.admin, database: kept()[0] ?? '' },
      { applicationName: 'look' },
      async (session) => (await session.query('select n from t')).rows,
    )
    expect(rows).toEqual([{ n: 7 }])
    await database.closePools()
  },
)

test('rollback: of what db wrote there is nothing to keep', async () => {
  const { context, database } = await open('rollback', true)
  await database.query('insert into t values (7)')
  await reportFailure(context, database, { name: 'pays', file: path.join(projectRoot, 'a.test.ts') })
  expect(printed).toBe('testdb: "pays" failed; what it wrote was in a transaction, so there is nothing to keep\n')
  await database.closePools()
})

test('each failed test has a file of its own, whatever it is called', async () => {
  const { context, database } = await open('rows', false)
  await database.query('insert into t values (7)')
  const long = '長'.repeat(150)
  const tests: { name: string; blocks?: string[] }[] = [
    { name: 'same', blocks: ['A'] },
    { name: 'same', blocks: ['B'] },
    { name: 'same' },
    { name: 'sa me' },
    { name: 'sa-me' },
    { name: long },
    { name: `${long}, too` },
    { name: `${'x'.repeat(200)} ${long}` },
    { name: `${'y'.repeat(200)} ${long}` },
    { name: '😀'.repeat(100) },
  ]
  for (const one of tests) await reportFailure(context, database, { ...one, file: path.join(projectRoot, 'a.test.ts') })
  const folder = path.join(projectRoot, 'node_modules/.cache/testdb-failures')
  const files = readdirSync(folder)
  expect(files.length).toBe(tests.length)
  expect(files.filter((file) => Buffer.byteLength(file) > 140)).toEqual([])
  const written = files.map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as object)
  for (const { name, blocks } of tests)
    expect(written).toContainEqual(expect.objectContaining({ test: name, ...(blocks && { blocks }) }))
  await database.closePools()
})
