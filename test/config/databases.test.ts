import { expect, test } from 'vitest'
import type { TestDbConfig } from '../../src/config/config.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { errorOf, project } from './helpers.ts'

const migrator = { name: 'test', load: () => Promise.reject(new Error('not loaded here')) }
const resolve = async (options: object) =>
  resolveConfig({ cwd: await project({ 'package.json': {} }), env: {}, options: options as TestDbConfig })
const other = { ...migrator, name: 'other' }

async function problems(config: object): Promise<string> {
  return String(await errorOf(resolve(config)))
}

test('each database has its own migrator, seed, variables, extensions and hash; the rest is shared', async () => {
  const config = await resolve({
    reset: 'truncate',
    databases: {
      main: { migrator, extensions: ['citext'] },
      audit: { migrator: other, seed: 'audit.sql', hash: { include: ['audit/*.sql'] } },
      eventLog: { migrator, env: ['LOG_URL', 'LOG2_URL'] },
    },
  })
  expect(config).toMatchObject({ databaseName: 'main', migrator, env: ['DATABASE_URL'], extensions: ['citext'] })
  expect(config.others).toMatchObject([
    {
      databaseName: 'audit',
      migrator: other,
      seed: 'audit.sql',
      env: ['AUDIT_DATABASE_URL'],
      extensions: [],
      hash: { include: ['audit/*.sql'], env: [] },
      reset: 'truncate',
      root: config.root,
      others: [],
    },
    { databaseName: 'eventLog', env: ['LOG_URL', 'LOG2_URL'] },
  ])
})

test('names of several words become variables of several words; the first one is DATABASE_URL whatever its name', async () => {
  const config = await resolve({ databases: { app: { migrator }, eventLog: { migrator }, geo_data: { migrator } } })
  expect([config, ...config.others].map(({ env }) => env)).toEqual([
    ['DATABASE_URL'],
    ['EVENT_LOG_DATABASE_URL'],
    ['GEO_DATA_DATABASE_URL'],
  ])
})

test('what is said of one database can not be said beside them', async () => {
  const text = await problems({ migrator, seed: 'x.sql', hash: { env: ['A'] }, databases: { main: { migrator } } })
  for (const key of ['migrator', 'seed', 'hash.env']) expect(text).toContain(`say \`${key}\` in each database`)
})

test('two databases can not have the same variable', async () => {
  const text = await problems({ databases: { main: { migrator }, copy: { migrator, env: ['DATABASE_URL'] } } })
  expect(text).toContain('databases: `main` and `copy` both have the variable DATABASE_URL')
})

test('a URL does not go where testdb or the shell looks for something else', async () => {
  for (const name of ['PGHOST', 'PGPASSWORD', 'TESTDB_URL', 'PATH']) {
    expect(await problems({ env: [name] })).toContain('env[0]: expected the name of a variable for a URL')
  }
  expect((await resolve({ env: ['PG_URL', 'PGBOUNCER_URL', 'MY_PATH'] })).env).toHaveLength(3)
})

test('each has to have a migrator; names and keys are checked', async () => {
  const text = await problems({ databases: { main: {}, 'no name': { migrator }, audit: { migrator, seeds: 'x' } } })
  expect(text).toContain('databases.main.migrator: expected')
  expect(text).toContain(`expected names such as 'audit'`)
  expect(text).toContain('databases.audit.seeds: unknown key, did you mean `seed`?')
})

test('databases go with isolation: database only, and there is one at least', async () => {
  const server = { kind: 'url', url: 'postgres://localhost/app_test' }
  const databases = { main: { migrator } }
  expect(await problems({ server, isolation: 'shared', databases })).toContain("expected isolation: 'database'")
  expect(await problems({ databases: {} })).toContain('expected at least one database, got none')
})
