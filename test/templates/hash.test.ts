import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type HashExtras, type HashParts, templateHash } from '../../src/templates/hash.ts'

const parts: HashParts = {
  migrator: 'abc',
  seed: undefined,
  extensions: ['citext', 'pg_trgm'],
  serverMajor: 18,
  superuser: false,
  owner: 'testdb',
  format: 1,
  installed: 'copies',
}

let root: string
const folder = async (name: string, files: Record<string, string>): Promise<string> => {
  for (const [file, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name, file)), { recursive: true })
    await writeFile(join(root, name, file), content)
  }
  return join(root, name)
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'testdb-hash-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
afterEach(() => {
  vi.unstubAllEnvs()
})

const extras = (more: Partial<HashExtras> = {}): HashExtras => ({ root, include: [], env: [], ...more })

test('equal content has an equal hash', async () => {
  expect(await templateHash(parts, extras())).toBe(await templateHash({ ...parts }, extras()))
  expect(await templateHash(parts, extras())).toMatch(/^[0-9a-f]{32}$/)
})

test.each<[what: string, change: Partial<HashParts>]>([
  ['the migrations', { migrator: 'abd' }],
  ['a seed', { seed: 'abc' }],
  ['an extension more', { extensions: ['citext', 'pg_trgm', 'hstore'] }],
  ['an extension less', { extensions: ['citext'] }],
  ['the server', { serverMajor: 17 }],
  ['the rights of the role', { superuser: true }],
  ['the role', { owner: 'app' }],
  ['the format', { format: 2 }],
  ['what the reset installs', { installed: 'lease' }],
])('%s changes it', async (_what, change) => {
  expect(await templateHash({ ...parts, ...change }, extras())).not.toBe(await templateHash(parts, extras()))
})

test('the order of extensions does not', async () => {
  const other = { ...parts, extensions: ['pg_trgm', 'citext'] }
  expect(await templateHash(other, extras())).toBe(await templateHash(parts, extras()))
})

test('included files count: content, name and number, but not where the project lies', async () => {
  const include = ['lib/**/*.js', '.env.test']
  const files = {
    'lib/a.js': 'one',
    'lib/deep/b.js': 'two',
    '.env.test': 'X=1',
    'other.js': 'ignored',
    'node_modules/lib/x.js': '',
  }
  const hash = async (
    name: string,
    changed: Record<string, string | undefined> = {},
    globs = include,
  ): Promise<string> => {
    const all = Object.entries({ ...files, ...changed }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    )
    return await templateHash(parts, extras({ root: await folder(name, Object.fromEntries(all)), include: globs }))
  }
  const base = await hash('base')
  expect(await hash('somewhere/else')).toBe(base)
  expect(await hash('globs in another order', {}, [...include].reverse())).toBe(base)
  expect(await hash('not included', { 'other.js': 'changed' })).toBe(base)
  expect(await hash('content', { 'lib/a.js': 'changed' })).not.toBe(base)
  expect(await hash('hidden file', { '.env.test': 'X=2' })).not.toBe(base)
  expect(await hash('one more', { 'lib/c.js': '' })).not.toBe(base)
  expect(await hash('one less', { 'lib/a.js': undefined })).not.toBe(base)
  expect(await hash('renamed', { 'lib/a.js': undefined, 'lib/z.js': 'one' })).not.toBe(base)
  expect(await templateHash(parts, extras())).not.toBe(base)
})

test('the end of one file and the name of the next can not be mistaken for each other', async () => {
  const include = ['*.js']
  const one = await folder('one file', { 'a.js': 'x"b.js"y' })
  const two = await folder('two files', { 'a.js': 'x', 'b.js': 'y' })
  expect(await templateHash(parts, extras({ root: one, include }))).not.toBe(
    await templateHash(parts, extras({ root: two, include })),
  )
})

test('variables count by their value, and an empty one is not a missing one', async () => {
  const hash = (value: string | undefined, env = ['TESTDB_TEST_A', 'TESTDB_TEST_B']): Promise<string> => {
    vi.stubEnv('TESTDB_TEST_A', value)
    return templateHash(parts, extras({ env }))
  }
  const missing = await hash(undefined)
  expect(new Set([missing, await hash(''), await hash('1'), await hash('2')]).size).toBe(4)
  expect(await hash('1', ['TESTDB_TEST_B', 'TESTDB_TEST_A'])).toBe(await hash('1'))
  expect(await hash('1', ['TESTDB_TEST_B'])).toBe(await hash('2', ['TESTDB_TEST_B']))
})
