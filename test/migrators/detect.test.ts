import { expect, test } from 'vitest'
import { chooseMigrator, detectMigrators } from '../../src/migrators/detect.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { failureOf } from './migrator-contract.ts'

const reasons = async (root: string): Promise<string[]> => (await detectMigrators(root)).map((one) => one.reason)
const knexfile = (directory: string): string =>
  `module.exports = { test: { client: 'pg', migrations: { directory: '${directory}' } } }`

test.each(['js', 'mjs', 'ts', 'cjs', 'cts', 'mts'])('knexfile.%s', async (extension) => {
  const head = extension === 'js' || extension === 'cjs' || extension === 'cts' ? 'module.exports =' : 'export default'
  using project = projectFolder({ [`knexfile.${extension}`]: `${head} {}` })
  expect(await reasons(project.root)).toEqual([`knexfile.${extension} found`])
})

test('a folder of .sql files, also with their .down.sql', async () => {
  using project = projectFolder({ 'db/migrations/1.sql': '', 'db/migrations/1.down.sql': '' })
  const { definition, reason } = await chooseMigrator(project.root)
  expect(reason).toBe('db/migrations/ with .sql files found')
  expect((await definition.load({ root: project.root, environment: 'test' })).name).toBe('sql')
})

test('a folder of scripts is for Knex, if the project has it', async () => {
  using project = projectFolder({ 'migrations/1.ts': '', 'migrations/1.sql': '' })
  expect(await reasons(project.root)).toEqual(['migrations/ with scripts and the package knex found'])
  using without = projectFolder({ 'migrations/1.ts': '' }, { packages: [] })
  expect(await reasons(without.root)).toEqual([])
  without.write({ 'package.json': '{"devDependencies":{"knex":"3"}}' })
  expect(await reasons(without.root)).toHaveLength(1)
})

test('the folders of the knexfile are not a second migrator', async () => {
  using project = projectFolder({ 'knexfile.js': knexfile('./db/migrations'), 'db/migrations/1.sql': '' })
  expect(await reasons(project.root)).toEqual(['knexfile.js found'])
  project.write({ 'migrations/1.js': '' })
  expect(await reasons(project.root)).toEqual(['knexfile.js found'])
})

test('two migrators are an error that names both and how to choose', async () => {
  using project = projectFolder({ 'knexfile.js': knexfile('./knex'), 'migrations/1.sql': '' })
  const error = await failureOf(chooseMigrator(project.root))
  expect(error.code).toBe('TESTDB_MIGRATOR_AMBIGUOUS')
  expect(error.message).toContain("knexfile.js found: `migrator: knexMigrator({ knexfile: 'knexfile.js' })`")
  expect(error.message).toContain(
    "migrations/ with .sql files found: `migrator: sqlMigrator({ directory: 'migrations' })`",
  )
})

test('a knexfile that does not load is chosen and then speaks for itself', async () => {
  using project = projectFolder({ 'knexfile.js': `throw new Error('no')`, 'migrations/1.sql': '' })
  const { definition } = await chooseMigrator(project.root)
  const error = await failureOf(definition.load({ root: project.root, environment: 'test' }))
  expect(error.code).toBe('TESTDB_CONFIG_LOAD_FAILED')
})

test('none is an error that says where it looked', async () => {
  using project = projectFolder({ 'migrations/readme.md': '' })
  const error = await failureOf(chooseMigrator(project.root))
  expect(error.code).toBe('TESTDB_MIGRATOR_MISSING')
  expect(error.message).toContain('migrations/, db/migrations/, database/migrations/')
})
