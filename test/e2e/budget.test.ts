/** The server's connections are divided: real runs against servers that have few of them. */
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { formatUrl, Session, withSession } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { SQL_MIGRATIONS } from './files.ts'
import { expectExit, type Files, makeProject, runIn } from './project.ts'

const DATABASE = 'budget_test'

let server: PrivatePostgres | undefined
afterEach(() => server?.stop())

async function start(maxConnections: number): Promise<{ server: PrivatePostgres; url: string }> {
  server = await startPrivatePostgres({ password: 'budget', maxConnections })
  await withSession(server.admin, { applicationName: 'e2e test' }, (session) =>
    session.query(`create database ${DATABASE}`),
  )
  return { server, url: formatUrl({ ...server.admin, database: DATABASE }) }
}

const WORKING = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'

for (const round of [1, 2]) {
  test('works ' + round, async ({ db }) => {
    expect((await db.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
    expect((await db.query('select count(*)::int as n, pg_sleep(0.05) from teams')).rows[0].n).toBe(3)
    const own = new pg.Client(process.env.DATABASE_URL)
    await own.connect()
    await own.query('select pg_sleep(0.05)')
    await own.end()
  })
}
`

const config = (workers: number): Files => ({
  'vitest.config.js': `export default { test: { pool: 'threads', maxWorkers: ${workers}, minWorkers: 1, globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup'] } }\n`,
})
const filesOf = (count: number, content: (file: number) => string): Files =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`works-${i}.test.js`, content(i)]))

/** The server's client sessions, looked at all the time; `max`: the most that there were, the one who looks included. */
async function watch(observer: Session, waiting: { runs: number }): Promise<{ stop(): Promise<number> }> {
  let stopped = false
  let max = 0
  const looking = (async () => {
    while (!stopped) {
      const { rows } = await observer.query<{ sessions: number }>(
        `select count(*)::int as sessions from pg_stat_activity where backend_type = 'client backend'`,
      )
      max = Math.max(max, rows[0]?.sessions ?? 0)
      const runs = await observer
        .query<{ n: number }>('select count(*)::int as n from testdb.runs where waiting_since is not null')
        .catch(() => undefined)
      waiting.runs = Math.max(waiting.runs, runs?.rows[0]?.n ?? 0)
    }
  })()
  return {
    async stop() {
      stopped = true
      await looking
      return max
    },
  }
}

test('two runs of 8 workers that start at the same moment, where only one fits: both pass, one after the other', async () => {
  const { server, url } = await start(40)
  const project = await makeProject('budget-two', { ...SQL_MIGRATIONS, ...config(8), ...filesOf(8, () => WORKING) })
  await using observer = await Session.open({ ...server.admin, database: DATABASE }, { applicationName: 'e2e test' })
  const waiting = { runs: 0 }
  const watching = await watch(observer, waiting)
  const env = { TESTDB_URL: url }
  const outcomes = await Promise.all([1, 2].map(() => runIn(project, 'vitest', ['run'], { env })))
  const most = await watching.stop()

  for (const outcome of outcomes) {
    expectExit(outcome, 0)
    expect(outcome.output).toMatch(/Tests\s+16 passed/)
  }
  // 40, of which 3 are reserved and 4 are headroom.
  expect(most).toBeLessThanOrEqual(33)
  expect(most).toBeGreaterThan(8)
  expect(waiting.runs).toBe(1)
  const said = outcomes.map(({ stderr }) => stderr).join('\n')
  expect(said).toMatch(
    /waiting for 17 connections, \d+ are free · run #\d+ \(vitest in budget-two, pid \d+ on .*\): 25 connections/,
  )
  expect(said).toMatch(/it is this run's turn after \d/)
})

/** One connection at a time is what there is. */
const BY_FIXTURE = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'

for (const round of [1, 2]) {
  test('works ' + round, async ({ db }) => {
    expect((await db.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
    const rows = await Promise.all([1, 2, 3].map(() => db.query('select count(*)::int as n, pg_sleep(0.05) from teams')))
    expect(rows.map((result) => result.rows[0].n)).toEqual([3, 3, 3])
  })
}
`
const BY_CLIENT = `import { expect, test } from 'vitest'
import pg from 'pg'

for (const round of [1, 2]) {
  test('works ' + round, async () => {
    const client = new pg.Client(process.env.DATABASE_URL)
    await client.connect()
    expect((await client.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
    await client.query('select pg_sleep(0.1)')
    await client.end()
  })
}
`

const ONE_BY_ONE = `test('opens one after the other', { timeout: 60_000 }, async () => {
  const refused = []
  for (let i = 0; i < 300; i++) await open().catch((error) => refused.push(error))
  throw new Error(refused.length + ' refused, the first: ' + refused[0].message)
})`
const AT_ONCE = `test('opens all at once', { timeout: 60_000 }, async () => {
  await Promise.all(Array.from({ length: 300 }, open))
})`
const offending = (offence: string): string => `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import pg from 'pg'

const open = async () => {
  const client = new pg.Client(process.env.DATABASE_URL)
  client.on('error', () => undefined)
  await client.connect()
}

test('works before', async ({ db }) => {
  expect((await db.query('select count(*)::int as n from teams')).rows).toEqual([{ n: 2 }])
})

${offence}

test('works after', async ({ db }) => {
  expect((await db.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
})
`

test("16 workers on 60 connections, 10 of them a stranger's, and tests that open 300: only these are refused", async () => {
  const { server, url } = await start(60)
  const strangers = Array.from(
    { length: 10 },
    () => new pg.Client({ ...server.admin, application_name: 'stranger' } as pg.ClientConfig),
  )
  for (const stranger of strangers) await stranger.connect()
  const project = await makeProject('budget-strays', {
    ...{ ...SQL_MIGRATIONS, ...config(16), ...filesOf(14, (file) => (file % 2 ? BY_FIXTURE : BY_CLIENT)) },
    'offends-1.test.js': offending(ONE_BY_ONE),
    'offends-2.test.js': offending(AT_ONCE),
  })
  try {
    const env = { TESTDB_URL: url }
    const outcome = expectExit(await runIn(project, 'vitest', ['run', '--reporter=json'], { env }), 1)
    const report = JSON.parse(outcome.stdout) as {
      testResults: { assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[]
    }
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
    const failed = results.filter(({ status }) => status !== 'passed')
    expect(failed.map(({ fullName }) => fullName).sort(), JSON.stringify(failed)).toEqual([
      'opens all at once',
      'opens one after the other',
    ])
    expect(results).toHaveLength(14 * 2 + 2 * 3)
    const messages = failed.flatMap(({ failureMessages }) => failureMessages)
    // Who waited out that the server was full for moments is told nothing.
    const explained = [...outcome.stderr.matchAll(/TESTDB_CONNECTION_REFUSED: "([^"]+)"/g)].map((match) => match[1])
    expect(explained.sort(), outcome.stderr).toEqual(failed.map(({ fullName }) => fullName).sort())
    expect(outcome.stderr).toMatch(
      / {2}limit 2 connections, 2 in use:\n(?: {4}1 × .*\n)* {4}1 × "testdb:budget-strays:\d+" \(db\.pool/,
    )
    // Of the two sessions on the database one is testdb's own, and the other one is that of `db`.
    for (const message of messages)
      expect(message).toMatch(
        /300 refused, the first: too many connections for database|too many clients|too many connections/,
      )
  } finally {
    for (const stranger of strangers) await stranger.end()
  }
})
