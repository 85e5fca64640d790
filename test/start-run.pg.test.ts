/** A run of several databases: what is wrong with one of them is said with its name, and nothing is left of the others. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestDbConfig } from '../src/config/config.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import { sqlMigrator } from '../src/migrators/index.ts'
import { formatUrl, withSession } from '../src/postgres/index.ts'
import { startRun } from '../src/start-run.ts'
import { type PrivatePostgres, startPrivatePostgres } from './helpers/private-postgres.ts'
import { type ProjectFolder, projectFolder } from './helpers/project-folder.ts'
import { errorOf } from './helpers/wait.ts'

let server: PrivatePostgres
let project: ProjectFolder
beforeAll(async () => {
  server = await startPrivatePostgres()
  await withSession(server.admin, { applicationName: 'test' }, (session) => session.query('create database app_test'))
  const files = { 'package.json': '{"name":"several"}', 'good/1.sql': 'select 1', 'bad/1.sql': 'selekt 1' }
  project = projectFolder(files, { packages: [] })
})
afterAll(async () => {
  project?.[Symbol.dispose]()
  await server?.stop()
})

async function failureOf(databases: TestDbConfig['databases']): Promise<Error> {
  const url = formatUrl({ ...server.admin, database: 'app_test' })
  const options: TestDbConfig = { server: { kind: 'url', url }, databases: databases ?? {} }
  const config = await resolveConfig({ cwd: project.root, options, env: {} })
  return await errorOf(startRun(config, { runner: 'test', slots: 1 }))
}

test.each([
  ['a migration', { migrator: sqlMigrator({ directory: 'bad' }) }, /database audit: .*1\.sql/],
  ['a seed', { migrator: sqlMigrator({ directory: 'good' }), seed: 'nosuch.sql' }, /database audit: .*nosuch\.sql/],
  [
    'an extension',
    { migrator: sqlMigrator({ directory: 'good' }), extensions: ['nosuch'] },
    /database audit: .*nosuch/,
  ],
])('%s of the second one', async (_what, audit, message) => {
  const error = await failureOf({ main: { migrator: sqlMigrator({ directory: 'good' }) }, audit })
  expect(error.message).toMatch(message)
  await withSession({ ...server.admin, database: 'app_test' }, { applicationName: 'test' }, async (session) => {
    expect((await session.query('select from testdb.runs')).rowCount).toBe(0)
  })
})
