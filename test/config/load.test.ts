import { join } from 'node:path'
import { expect, test } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { errorOf, project, warnings } from './helpers.ts'

const env = {}

test.each([
  ['ts', `const reset = 'clone' as const\nexport default { reset } satisfies { reset: string }`],
  ['mts', `import { join } from 'node:path'\nexport default { reset: join('clone') as string }`],
  ['js', `export default { reset: 'clone' }`],
  ['mjs', `export default { reset: await Promise.resolve('clone') }`],
  ['cjs', `module.exports = { reset: 'clone' }`],
])('loads testdb.config.%s', async (extension, source) => {
  const name = `testdb.config.${extension}`
  const root = await project({ 'package.json': { name: 'shop', type: 'module' }, [name]: source })
  const config = await resolveConfig({ cwd: root, env })
  expect(config).toMatchObject({ root, file: join(root, name), project: 'shop', reset: 'clone' })
  expect(config.origins.reset).toBe('file')
})

test('a .js file of a CommonJS package', async () => {
  const root = await project({ 'package.json': {}, 'testdb.config.js': `module.exports = { reset: 'clone' }` })
  expect((await resolveConfig({ cwd: root, env })).reset).toBe('clone')
})

test('a TypeScript file may import other TypeScript files of the project', async () => {
  const root = await project({
    'package.json': { type: 'module' },
    'db/reset.ts': `export const reset: string = 'clone'`,
    'testdb.config.ts': `import { reset } from './db/reset.ts'\nexport default { reset }`,
  })
  expect((await resolveConfig({ cwd: root, env })).reset).toBe('clone')
})

test.each([
  ['a function', `export default () => ({ reset: 'clone' })`],
  ['an async function', `export default async () => ({ reset: 'clone' })`],
])('the file may export %s', async (_name, source) => {
  const root = await project({ 'package.json': {}, 'testdb.config.ts': source })
  expect((await resolveConfig({ cwd: root, env })).reset).toBe('clone')
})

test('a migrator arrives as the very object that the file made', async () => {
  const source = `class Mine { name = 'mine'; #hidden = 7; async load() { return this.#hidden } }
    export default { migrator: new Mine() }`
  const root = await project({ 'package.json': {}, 'testdb.config.ts': source })
  const { migrator } = await resolveConfig({ cwd: root, env })
  expect(await migrator?.load({ root, environment: 'test' })).toBe(7)
})

test('the "testdb" key of package.json', async () => {
  const root = await project({ 'package.json': { name: '@acme/api', testdb: { pool: { max: 3 } } } })
  const config = await resolveConfig({ cwd: root, env })
  expect(config).toMatchObject({ root, file: join(root, 'package.json'), project: 'acme/api', pool: { max: 3 } })
  expect(config.origins['pool.max']).toBe('file')
})

test('a file wins over the package.json key, and says so', async () => {
  const heard = warnings()
  const root = await project({
    'package.json': { testdb: { reset: 'none', pool: { max: 3 } } },
    'testdb.config.mjs': `export default { reset: 'clone' }`,
  })
  expect(await resolveConfig({ cwd: root, env })).toMatchObject({ reset: 'clone', pool: { max: 'auto' } })
  expect(heard).toEqual([
    `${join(root, 'testdb.config.mjs')} is the configuration; the "testdb" key of package.json is ignored.`,
  ])
})

test('of two files the first of the documented order wins, and the other one is named', async () => {
  const heard = warnings()
  const root = await project({
    'package.json': {},
    'testdb.config.cjs': `module.exports = { reset: 'none' }`,
    'testdb.config.ts': `export default { reset: 'clone' }`,
  })
  expect((await resolveConfig({ cwd: root, env })).reset).toBe('clone')
  expect(heard.join()).toContain('testdb.config.cjs is ignored')
})

test('the project is the nearest folder with a package.json', async () => {
  const root = await project({
    'package.json': { name: 'outer' },
    'testdb.config.ts': `export default { reset: 'none' }`,
    'packages/inner/package.json': { name: 'inner' },
    'packages/inner/testdb.config.ts': `export default { reset: 'clone' }`,
    'packages/inner/src/deep/file.ts': '',
    'packages/plain/package.json': {},
    'tools/x/file.ts': '',
  })
  const at = (folder: string) => resolveConfig({ cwd: join(root, folder), env })
  expect(await at('packages/inner/src/deep')).toMatchObject({ project: 'inner', reset: 'clone' })
  expect(await at('tools/x')).toMatchObject({ project: 'outer', reset: 'none', root })
  // A package of its own is not configured by the folder around it.
  expect(await at('packages/plain')).toMatchObject({ project: 'plain', reset: 'rows', file: undefined })
})

test('a named file is used instead, and its folder is the root', async () => {
  const root = await project({
    'package.json': { name: 'shop' },
    'testdb.config.ts': `export default { reset: 'none' }`,
    'config/ci.ts': `export default { reset: 'clone' }`,
  })
  const config = await resolveConfig({ cwd: root, configFile: 'config/ci.ts', env })
  expect(config).toMatchObject({ root: join(root, 'config'), project: 'shop', reset: 'clone' })
})

test('a named file that is not there', async () => {
  const root = await project({ 'package.json': {} })
  const error = await errorOf(resolveConfig({ cwd: root, configFile: 'nope.ts', env }))
  expect(error.code).toBe('TESTDB_CONFIG_INVALID')
  expect(error.message).toContain(`expected an existing file, got ${join(root, 'nope.ts')}`)
})

test.each([
  ['throws', `throw new Error('no such secret manager')`, 'no such secret manager'],
  [
    'imports what is not there',
    `import x from 'not-a-package-of-this-world'\nexport default x`,
    'not-a-package-of-this-world',
  ],
  ['does not parse', `export default { reset: `, ''],
  ['returns an error', `export default () => { throw new Error('later') }`, 'later'],
  ['returns null', 'export default () => null', 'it exports null or undefined'],
])('a file that %s', async (_name, source, text) => {
  const root = await project({ 'package.json': { type: 'module' }, 'testdb.config.ts': source })
  const error = await errorOf(resolveConfig({ cwd: root, env }))
  expect(error.code).toBe('TESTDB_CONFIG_LOAD_FAILED')
  expect(error.message).toContain(join(root, 'testdb.config.ts'))
  expect(error.message).toContain(text)
  expect(error.cause).toBeInstanceOf(Error)
  expect(error.details.file).toBe(join(root, 'testdb.config.ts'))
})

test('the message of a broken file has no password', async () => {
  const source = `throw new Error('can not connect to postgres://u:hunter2@h/d')`
  const root = await project({ 'package.json': {}, 'testdb.config.ts': source })
  const error = await errorOf(resolveConfig({ cwd: root, env }))
  expect(error.message).toContain('can not connect to postgres://…@h/d')
})

test('a broken package.json', async () => {
  const root = await project({ 'package.json': '{ "name": ' })
  const error = await errorOf(resolveConfig({ cwd: root, env }))
  expect(error.code).toBe('TESTDB_CONFIG_LOAD_FAILED')
  expect(error.message).toContain(join(root, 'package.json'))
})

test('nothing but the file is read: no .env, no rc file, no extends, no environment blocks', async () => {
  const root = await project({
    'package.json': {},
    '.env': 'TESTDB_FROM_DOTENV=1',
    '.testdbrc': 'reset=none',
    'testdb.config.ts': `export default { extends: 'https://example.invalid/config', $test: { reset: 'none' } }`,
  })
  const error = await errorOf(resolveConfig({ cwd: root, env }))
  expect(error.message).toContain('extends: unknown key')
  expect(error.message).toContain('$test: unknown key')
  expect(process.env.TESTDB_FROM_DOTENV).toBeUndefined()
})
