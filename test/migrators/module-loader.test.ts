import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { createModuleLoader } from '../../src/migrators/module-loader.ts'
import { projectFolder } from '../helpers/project-folder.ts'

const value = async (root: string, file: string): Promise<unknown> =>
  ((await createModuleLoader(root).load(`${root}/${file}`)) as { value: unknown }).value

test('an unchanged module is evaluated once, a changed one again with all that it loads', async () => {
  using project = projectFolder({
    'a.js': `exports.value = require('./b.js')`,
    'b.js': `globalThis.testdbEvaluated = (globalThis.testdbEvaluated ?? 0) + 1; module.exports = globalThis.testdbEvaluated`,
  })
  expect(await value(project.root, 'a.js')).toBe(1)
  expect(await value(project.root, 'a.js')).toBe(1)
  project.write({ 'a.js': `exports.value = require('./b.js') * 10` })
  expect(await value(project.root, 'a.js')).toBe(20)
})

test('modules that import each other are evaluated once each', async () => {
  using project = projectFolder({
    'a.ts': `import { b } from './b'\nexport const name = 'a'\nexport const value: string = b()`,
    'b.ts': `import { name } from './a'\nexport const b = (): string => 'b of ' + typeof name`,
  })
  expect(await value(project.root, 'a.ts')).toBe('b of string')
})

test('a module with top-level await is loaded again when it changed', async () => {
  using project = projectFolder({ 'a.mjs': `export const value = await Promise.resolve(1)` })
  expect(await value(project.root, 'a.mjs')).toBe(1)
  project.write({ 'a.mjs': `export const value = await Promise.resolve(2)` })
  expect(await value(project.root, 'a.mjs')).toBe(2)
})

test('CommonJS whose syntax Node does not know there falls back to the transpiler', async () => {
  using project = projectFolder({ 'a.js': `import { sep } from 'node:path'\nexport const value = sep.length` })
  expect(await value(project.root, 'a.js')).toBe(1)
})

test('what a module throws is thrown, and it is not evaluated twice', async () => {
  using project = projectFolder({
    'a.js': `globalThis.testdbThrown = (globalThis.testdbThrown ?? 0) + 1; throw new Error('mine ' + globalThis.testdbThrown)`,
  })
  await expect(value(project.root, 'a.js')).rejects.toThrow('mine 1')
})

test('path aliases of tsconfig.json, and a tsconfig.json that can not be read', async () => {
  using project = projectFolder({
    'tsconfig.json': '{"compilerOptions":{"paths":{"@app/*":["./src/*"]}}}',
    'src/one.ts': 'export const one: number = 1',
    'a.ts': `import { one } from '@app/one'\nexport const value: number = one`,
    'b.ts': 'export const value: number = 2',
    'c.ts': `import './nowhere'`,
  })
  expect(await value(project.root, 'a.ts')).toBe(1)
  project.write({ 'tsconfig.json': '{"extends":"./missing.json"}' })
  expect(await value(project.root, 'b.ts')).toBe(2)
  await expect(value(project.root, 'c.ts')).rejects.toThrow('./nowhere')
})

test('what somebody else has loaded stays as it is, also when ours changes', async () => {
  using project = projectFolder({ 'app.js': 'module.exports = {}', 'a.js': `exports.value = require('./app.js')` })
  const app: unknown = createRequire(import.meta.url)(`${project.root}/app.js`)
  expect(await value(project.root, 'a.js')).toBe(app)
  project.write({ 'a.js': `exports.value = [require('./app.js')]` })
  expect(await value(project.root, 'a.js')).toEqual([app])
  expect(((await value(project.root, 'a.js')) as unknown[])[0]).toBe(app)
})
