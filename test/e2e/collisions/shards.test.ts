/** Four machines of a sharded CI job: checkouts and caches of their own, one server, coordinated through nothing but it. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isRunAlive } from '../../../src/coordination/index.ts'
import { formatUrl, Session, withSession } from '../../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../../helpers/private-postgres.ts'
import { NOTE_ESM, SQL_MIGRATIONS, VITEST_WIRING, vitestConfig, writingTest } from '../files.ts'
import { expectExit, type Files, makeProject, outcomeOf, type Project, runIn, startIn } from '../project.ts'
import { inventoryOf, leftoversOf } from '../servers.ts'
import { WAIT_ESM } from './lab.ts'

const SHARDS = 4
/** Two runs fit at a time: 1 + 2 workers × (1 + 2 × 2 + 4) connections each. */
const MAX_CONNECTIONS = 50
const FILES = Array.from({ length: 2 * SHARDS }, (_, index) => `file${index}`)

const files: Files = {
  ...NOTE_ESM,
  ...WAIT_ESM,
  ...SQL_MIGRATIONS,
  'migrations/003_slow.sql': 'select pg_sleep(1); create table slow (id int);',
  ...vitestConfig(`${VITEST_WIRING}, maxWorkers: 2`),
  ...Object.fromEntries(
    FILES.map((name) => [
      `${name}.test.js`,
      `${writingTest(name)}
import { gate } from './wait.js'
test('${name} stays', async () => {
  if (!process.env.GATE) return
  note({ held: true })
  await gate()
}, 90_000)
`,
    ]),
  ),
}

let server: PrivatePostgres
beforeAll(async () => {
  server = await startPrivatePostgres({ maxConnections: MAX_CONNECTIONS, settings: { log_connections: 'on' } })
  await withSession(server.admin, { applicationName: 'test' }, (session) =>
    session.query('create database app_test template template0'),
  )
})
afterAll(() => server?.stop())

/** Counts the sessions of the server again and again; gives the most that there were, and how often it looked. */
async function watch(until: Promise<unknown>): Promise<{ most: number; looks: number; reserved: number }> {
  let ended = false
  void until.finally(() => {
    ended = true
  })
  const found = { most: 0, looks: 0, reserved: 0 }
  await using session = await Session.open({ ...server.admin, database: 'app_test' }, { applicationName: 'watch' })
  while (!ended) {
    const { rows: began } = await session.query(`select from pg_class where oid = to_regclass('testdb.runs')`)
    // The row of a run that was killed stays until somebody clears it away; its part is free at once.
    const reserved =
      began.length === 0
        ? '0'
        : `(select coalesce(sum(connections), 0)::int from testdb.runs where ${isRunAlive('id')})`
    const { rows } = await session.query<{ sessions: number; reserved: number }>(
      `select ${reserved} as reserved, (select count(*)::int from pg_stat_activity
                                         where backend_type = 'client backend' and pid <> pg_backend_pid()) as sessions`,
    )
    found.most = Math.max(found.most, rows[0]?.sessions ?? 0)
    found.reserved = Math.max(found.reserved, rows[0]?.reserved ?? 0)
    found.looks += 1
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return found
}

/** A machine that is taken away: the runner and all its workers at once. */
async function killTree(root: number): Promise<void> {
  const { stdout } = await execa('ps', ['-eo', 'pid=,ppid='])
  const parents = new Map(stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number) as [number, number]))
  const isOf = (pid: number): boolean => pid === root || (pid > 1 && isOf(parents.get(pid) ?? 0))
  for (const pid of parents.keys()) if (isOf(pid)) process.kill(pid, 'SIGKILL')
}

test('the template is built once, the connections suffice, and a shard that is killed harms none of the others', async () => {
  const projects: Project[] = []
  for (let n = 1; n <= SHARDS; n++) {
    const project = await makeProject(`shard-${n}`, files)
    // The same project, checked out into another folder.
    project.write({ 'package.json': { name: 'shards', private: true, type: 'module' } })
    projects.push(project)
  }
  const url = formatUrl({ ...server.admin, database: 'app_test' })
  const envOf = (project: Project) => ({
    TESTDB_URL: url,
    TESTDB_POOL_MAX: '2',
    TESTDB_CACHE_DIR: path.join(project.root, 'cache'),
  })
  const shard = (index: number, env = {}) =>
    startIn(projects[index] as Project, 'vitest', ['run', `--shard=${index + 1}/${SHARDS}`], {
      env: { ...envOf(projects[index] as Project), ...env },
      timeout: 150_000,
    })

  const doomed = projects[SHARDS - 1] as Project
  const children = projects.map((project, index) =>
    shard(index, project === doomed ? { GATE: path.join(project.root, 'gate') } : {}),
  )
  const all = Promise.all(children)
  const counted = watch(all)
  await expect.poll(() => doomed.notes<{ held?: true }>().some(({ held }) => held), { timeout: 120_000 }).toBe(true)
  await killTree(children[SHARDS - 1]?.pid ?? 0)

  const outcomes = (await all).map(outcomeOf)
  for (const outcome of outcomes.slice(0, -1)) expectExit(outcome, 0)
  expect(outcomes.at(-1)?.signal).toBe('SIGKILL')
  const { most, looks, reserved } = await counted
  expect(looks).toBeGreaterThan(50)
  // More than one run had its part at the same time, all parts together never were more than there is.
  expect(reserved).toBeGreaterThan(19)
  expect(reserved).toBeLessThanOrEqual(MAX_CONNECTIONS - 3)
  expect(most).toBeLessThanOrEqual(MAX_CONNECTIONS - 3)
  expect(readFileSync(path.join(server.home, 'log'), 'utf8')).not.toMatch(/too many clients|remaining connection slots/)

  const ran = projects.slice(0, -1).flatMap((project) => project.notes<{ file: string }>().map(({ file }) => file))
  expect(new Set(ran).size).toBe(2 * (SHARDS - 1))
  const look = () => withSession({ ...server.admin, database: 'app_test' }, { applicationName: 'test' }, inventoryOf)
  const before = await look()
  expect(before.templates).toMatchObject([{ state: 'sealed', attempt: 1 }])

  // The shard is started again, as CI does it.
  expectExit(await runIn(doomed, 'vitest', ['run', `--shard=${SHARDS}/${SHARDS}`], { env: envOf(doomed) }), 0)
  expect((await look()).templates).toEqual(before.templates)
  // What the killed workers held is dropped by whoever takes or prunes next.
  expectExit(await runIn(doomed, 'testdb', ['prune', '--keep-days', '0'], { env: envOf(doomed) }), 0)
  const left = () => withSession({ ...server.admin, database: 'app_test' }, { applicationName: 'test' }, leftoversOf)
  await expect.poll(left, { timeout: 15_000 }).toEqual([])
  expect(await look()).toMatchObject({ databases: [] })
}, 240_000)
