/** Runs on a server of 60 connections, of which 3 are reserved and 6 are headroom: 51 for all runs when nobody else is there. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { TestDbConfig } from '../src/config/config.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import { createTestDb } from '../src/create-test-db.ts'
import { sqlMigrator } from '../src/migrators/index.ts'
import { formatUrl, Session, withSession } from '../src/postgres/index.ts'
import type { Run, RunOptions } from '../src/run.ts'
import { ANCESTORS_VARIABLE, withAncestor } from '../src/run-budget.ts'
import { startRun } from '../src/start-run.ts'
import { type PrivatePostgres, startPrivatePostgres } from './helpers/private-postgres.ts'
import { type ProjectFolder, projectFolder } from './helpers/project-folder.ts'
import { collect, errorOf, within } from './helpers/wait.ts'

const DATABASE = 'budget_test'

let server: PrivatePostgres
let project: ProjectFolder
let options: TestDbConfig
const runs: Run[] = []
const strangers: Session[] = []

beforeAll(async () => {
  server = await startPrivatePostgres({ maxConnections: 60 })
  await withSession(server.admin, { applicationName: 'test' }, (session) =>
    session.query(`create database ${DATABASE}`),
  )
  project = projectFolder(
    { 'package.json': '{"name":"few"}', 'migrations/1.sql': 'create table t (id int)' },
    { packages: [] },
  )
  options = { server: { kind: 'url', url: formatUrl({ ...server.admin, database: DATABASE }) } }
})
afterEach(async () => {
  for (const run of runs.splice(0)) await run.close()
  for (const session of strangers.splice(0)) await session.close()
})
afterAll(async () => {
  project?.[Symbol.dispose]()
  await server?.stop()
})

async function start(run: Partial<RunOptions>, more: TestDbConfig = {}): Promise<Run> {
  const config = await resolveConfig({ cwd: project.root, options: { ...options, ...more }, env: {} })
  const started = await within('the run starts', startRun(config, { runner: 'test', slots: 1, ...run }))
  runs.push(started)
  return started
}

async function strangersCome(count: number): Promise<void> {
  for (let i = 0; i < count; i++) strangers.push(await Session.open(server.admin, { applicationName: 'somebody' }))
}

test('few workers have full pools, more have smaller ones', async () => {
  const few = await start({ slots: 2 })
  expect(few.reservation).toEqual({ slots: 2, poolMax: 10, connectionLimit: 24, connections: 1 + 2 * 25 })
  expect(few.context).toMatchObject({ pool: { max: 10, acquireMs: 5_000 }, connectionLimit: 24 })
  await runs.pop()?.close()
  const more = await start({ slots: 5 })
  expect(more.reservation).toEqual({ slots: 5, poolMax: 2, connectionLimit: 8, connections: 1 + 5 * 9 })
})

test('sixteen workers beside ten strangers: one connection each, and that is said', async () => {
  await strangersCome(10)
  using said = collect('warning.raised')
  const run = await start({ slots: 16 })
  expect(run.reservation).toEqual({ slots: 16, poolMax: 1, connectionLimit: 2, connections: 33 })
  expect(said.events.map(({ message }) => message)).toEqual([
    "the server's connections are few for 16 workers: pool.max is 1, and 1 can be open on each database. Start fewer workers, or raise max_connections (npx testdb doctor --budget says to what)",
  ])
})

test('what can never fit fails at once, with the arithmetic', async () => {
  await strangersCome(30)
  const error = await errorOf(start({ slots: 16 }))
  expect(error).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED', details: { needed: 33, free: 21, foreign: 30 } })
  expect(
    error.message,
  ).toBe(`TESTDB_BUDGET_EXHAUSTED: this run needs 33 connections for 16 databases at once, and 21 are free
  max_connections 60 − 3 reserved − 30 of other people − 6 headroom = 21 for test runs
The connections of the server are divided among all runs, and what is left is not enough for this one; nothing was started.
  1. Start fewer workers: 10 fit (Vitest and Jest: --maxWorkers 10).
  2. Set max_connections of the server to 74 or more.
  3. Run \`npx testdb doctor --budget\` to see the numbers, and \`npx testdb status\` to see who is connected.`)
})

test('a pool that is larger than the server fails at once and says so', async () => {
  const error = await errorOf(start({}, { pool: { max: 100 } }))
  expect(error).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED', details: { needed: 102 } })
  expect(error.message).toContain("Set `pool: { max: 'auto' }`, or a smaller number.")
})

test('a run that lasts takes half, so that another one can run beside it', async () => {
  const watching = await start({ slots: 2, lasting: true })
  expect(watching.reservation.connections).toBeLessThanOrEqual(25)
  expect((await start({ slots: 2 })).reservation.connections).toBeLessThanOrEqual(51 - watching.reservation.connections)
})

test('tests at the same time are counted where there is room for them', async () => {
  const small = { pool: { max: 1 } }
  const roomy = await start({ slots: 2, concurrency: 3 }, small)
  expect(roomy.reservation).toEqual({ slots: 6, poolMax: 1, connectionLimit: 6, connections: 1 + 6 * 7 })
  await runs.pop()?.close()
  const tight = await start({ slots: 2, concurrency: 5 }, small)
  expect(tight.reservation).toEqual({ slots: 2, poolMax: 1, connectionLimit: 6, connections: 1 + 2 * 7 })
})

test('a further run of the same process takes the part of the first over instead of waiting for it', async () => {
  const first = await start({ slots: 2 })
  const second = await start({ slots: 2, beside: [first] })
  expect(second.reservation).toEqual({ ...first.reservation, connections: 1 })
  const larger = await errorOf(start({ slots: 2, beside: [first] }, { pool: { max: 20 } }))
  expect(larger).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED' })
})

test('several databases for each worker are counted, also beside a run that has one for each', async () => {
  const migrator = sqlMigrator({ directory: 'migrations' })
  const databases = { main: { migrator }, second: { migrator } }
  const several = await start({ slots: 1 }, { databases })
  expect(several.reservation).toEqual({ slots: 2, poolMax: 10, connectionLimit: 24, connections: 1 + 2 * 25 })
  expect(several.context.others).toMatchObject([{ name: 'second', connectionLimit: 24, pool: { max: 10 } }])
  await runs.pop()?.close()
  const small = { pool: { max: 1 } }
  const first = await start({ slots: 2 }, small)
  const beside = await start({ slots: 2, beside: [first] }, { ...small, databases })
  expect(beside.reservation).toEqual({ slots: 4, poolMax: 1, connectionLimit: 6, connections: 1 + 2 * 6 })
  const tooMany = await errorOf(start({ slots: 10, beside: [first] }, { ...small, databases }))
  expect(tooMany).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED' })
})

test('a run inside the command of another one does not wait for it', async () => {
  const outer = await start({ slots: 2 })
  const { admin, runId } = outer.context
  process.env[ANCESTORS_VARIABLE] = withAncestor(admin, runId)
  try {
    const error = await errorOf(start({ slots: 1 }))
    expect(error).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED', details: { needed: 3, free: 0 } })
    expect(error.message).toMatch(
      /− run #\d+ \(test in few, pid \d+ on .*\): 51 connections, of which this run is a part/,
    )
  } finally {
    delete process.env[ANCESTORS_VARIABLE]
  }
})

test('createTestDb: each database in use counts, one that was released does not', async () => {
  await strangersCome(35)
  const config: TestDbConfig = { ...options, pool: { max: 4 } }
  const cwd = process.cwd()
  process.chdir(project.root)
  try {
    await using testdb = await createTestDb(config)
    // 16 are free: one for the run, 13 for the first database, and 2 with 6 of headroom for a pool of 4 and the lease.
    const [one, two] = await Promise.all([testdb.acquire(), testdb.acquire()])
    expect(one.name).not.toBe(two.name)
    const error = await errorOf(testdb.acquire())
    expect(error).toMatchObject({ code: 'TESTDB_BUDGET_EXHAUSTED', details: { needed: 24, free: 16 } })
    expect((await one.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await two.release()
    expect((await (await testdb.acquire()).query('select 1 as one')).rows).toEqual([{ one: 1 }])
  } finally {
    process.chdir(cwd)
  }
})
