import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadSeed } from '../../src/migrators/seed.ts'
import type { ConnectionTarget } from '../../src/postgres/index.ts'
import { rows } from '../helpers/migrate.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { failureOf } from './migrator-contract.ts'

let server: TestServer
let target: ConnectionTarget
beforeAll(async () => {
  server = await startTestServer()
})
beforeEach(async () => {
  target = await server.createDatabase()
  await rows(target, 'create table t (n serial, v text)')
})
afterAll(() => server.stop())

const values = async (): Promise<string[]> =>
  (await rows<{ v: string }>(target, 'select v from t order by n')).map((row) => row.v)
const script = (value: string, head: string): string =>
  `${head} async ({ url, query }) => { await query('insert into t (v) values ($1)', ['${value} ' + new URL(url).protocol]) }`

test('nothing is nothing', () => {
  expect(loadSeed(undefined, '/')).toBeUndefined()
})

test('a folder runs in name order, in every format', async () => {
  using project = projectFolder({
    'seeds/1.sql': "insert into t (v) values ('sql')",
    'seeds/2.js': script('js', 'module.exports ='),
    'seeds/3.mjs': script('mjs', 'export default'),
    'seeds/4.ts': script('ts', 'const x: string = ""; export default'),
    'seeds/5.cjs': script('cjs', 'exports.default ='),
    'seeds/data.json': '{}',
    'seeds/types.d.ts': 'export {}',
  })
  const seed = loadSeed('seeds', project.root)
  expect(seed?.summary).toBe('seeds (5 files)')
  await seed?.run(target)
  expect(await values()).toEqual(['sql', 'js postgresql:', 'mjs postgresql:', 'ts postgresql:', 'cjs postgresql:'])
})

test('a file and a function', async () => {
  using project = projectFolder({ 'seed.sql': "insert into t (v) values ('file')" })
  await loadSeed('./seed.sql', project.root)?.run(target)
  await loadSeed(async ({ query }) => void (await query("insert into t (v) values ('function')")), '/')?.run(target)
  expect(await values()).toEqual(['file', 'function'])
})

test('the hash follows content and names, not place', async () => {
  using one = projectFolder({ 'seeds/1.sql': 'select 1' })
  using two = projectFolder({ 'seeds/1.sql': 'select 1' })
  const hash = (root: string, seed = 'seeds') => loadSeed(seed, root)?.hash()
  expect(await hash(one.root)).toBe(await hash(two.root))
  two.write({ 'seeds/data.json': '[]' })
  expect(await hash(one.root)).not.toBe(await hash(two.root))
  const a = loadSeed(() => undefined, '/')
  const b = loadSeed(() => void 1, '/')
  expect(await a?.hash()).not.toBe(await b?.hash())
})

describe('failures', () => {
  test('name the file, the line and the SQL error', async () => {
    using project = projectFolder({ 'seeds/1.sql': 'select 1;\nselect *\n  from nowhere;' })
    const sql = await failureOf(loadSeed('seeds', project.root)?.run(target) ?? Promise.resolve())
    expect(sql.code).toBe('TESTDB_SEED_FAILED')
    expect(sql.message).toContain('seed seeds/1.sql failed: relation "nowhere" does not exist (SQLSTATE 42P01)')
    expect(sql.message).toContain('file: seeds/1.sql:3:8')
    const error = await failureOf(
      loadSeed(async ({ query }) => {
        await query('select nope')
      }, '/')?.run(target) ?? Promise.resolve(),
    )
    expect(error.details).toMatchObject({ sqlstate: '42703', position: { line: 1, column: 8 } })
  })

  test('a missing path, an empty folder, another extension and a file without function are named', async () => {
    using project = projectFolder({ 'empty/x.txt': '', 'seed.txt': '', 'seed.js': 'exports.seed = () => {}' })
    expect(() => loadSeed('nope.sql', project.root)).toThrow('seed: nope.sql does not exist')
    expect(() => loadSeed('empty', project.root)).toThrow('empty has no files with .sql')
    expect(() => loadSeed('seed.txt', project.root)).toThrow('must be a folder or a file with')
    const error = await failureOf(loadSeed('seed.js', project.root)?.run(target) ?? Promise.resolve())
    expect(error.message).toContain('its default export is not a function')
  })
})
