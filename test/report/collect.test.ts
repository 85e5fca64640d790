/** The report is a function of the log: these are the logs that real runs do not write every day. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EventName, Events } from '../../src/events.ts'
import { collectRun } from '../../src/report/collect.ts'
import { renderPage } from '../../src/report/html/page.ts'
import type { RunReport } from '../../src/report/run-report.ts'
import { endOfRun } from '../../src/report/summary.ts'
import { describeRun } from '../../src/report/text.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'testdb-report-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A pid that no process has. */
const GONE = 2 ** 30

type Logged = {
  [N in EventName]: readonly [atMs: number, process: string, event: N, payload: Events[N], pid?: number]
}[EventName]

/** The report of a run that has logged this. */
function reportOf(name: string, lines: readonly Logged[]): RunReport {
  const run = path.join(folder, `${name}-${GONE}`)
  mkdirSync(run, { recursive: true })
  for (const [atMs, process, event, payload, pid = 1] of lines) {
    const line = { at: 1_796_000_000_000 + atMs, process, pid, event, ...payload }
    appendFileSync(path.join(run, `${process.replace(/\W/g, '_')}.jsonl`), `${JSON.stringify(line)}\n`)
  }
  const report = collectRun(run)
  if (!report) throw new Error('no report')
  return report
}

const BEGIN: Logged = [0, 'main', 'run.started', { runner: 'vitest', project: 'shop', root: '/app', pid: GONE }]
const READY: Logged = [500, 'main', 'run.ready', { slots: 2, poolMax: 10, connectionLimit: 24 }]
const END: Logged = [9_000, 'main', 'run.finished', {}]
const sample = (connections: number, limit = 100, slow: Events['connections.sampled']['slow'] = []) => ({
  total: connections + 2,
  limit,
  databases: [{ name: 'testdb_shop_1', connections, limit: 10 }],
  slow,
})
const acquired = (process: string, atMs: number, pid: number): Logged => [
  atMs,
  process,
  'database.acquired',
  { database: 'testdb_shop_1', created: false, durationMs: 5 },
  pid,
]

test('a database belongs to the worker that holds it at the time', () => {
  const report = reportOf('20260101T000001', [
    BEGIN,
    READY,
    acquired('worker 1', 1_000, 11),
    [1_500, 'main', 'connections.sampled', sample(3)],
    [2_000, 'worker 1', 'database.released', { database: 'testdb_shop_1' }, 11],
    [2_200, 'main', 'connections.sampled', sample(8)],
    acquired('worker 2', 2_500, 12),
    [3_000, 'main', 'connections.sampled', sample(5)],
    END,
  ])
  expect(report.workers.map(({ name, peak, limit }) => [name, peak, limit])).toEqual([
    ['worker 1', 3, 10],
    ['worker 2', 5, 10],
  ])
  expect(report.connections).toMatchObject({ peak: 10, peakAtMs: 2_200, ownPeak: 5, limit: 100, severity: 'ok' })
})

test.each([
  [7, 'ok', 0],
  [8, 'warning', 1],
  [10, 'critical', 1],
] as const)('%i of 10 connections of a worker: %s', (connections, severity, problems) => {
  const report = reportOf(`2026010${problems}T0000${String(connections).padStart(2, '0')}`, [
    BEGIN,
    READY,
    acquired('worker 1', 1_000, 11),
    [1_500, 'main', 'connections.sampled', sample(connections)],
    END,
  ])
  expect(report.workers[0]?.severity).toBe(severity)
  expect(report.problems).toHaveLength(problems)
  expect(endOfRun(report).lines).toHaveLength(problems === 0 ? 1 : 3)
})

test('a statement that is seen again and again is one, as long as it was seen last', () => {
  const slow = (elapsedMs: number, query = 'select pg_sleep(6)') => [
    { pid: 77, database: 'testdb_shop_1', applicationName: 'api', query, elapsedMs, waitsFor: 'Lock' },
    { pid: 78, database: 'testdb_other_1', applicationName: 'api', query: 'not ours', elapsedMs, waitsFor: null },
    {
      pid: 79,
      database: 'testdb_shop_1',
      applicationName: 'testdb lease:shop',
      query: 'ours',
      elapsedMs,
      waitsFor: null,
    },
  ]
  const report = reportOf('20260101T000003', [
    BEGIN,
    READY,
    acquired('worker 1', 900, 11),
    [1_000, 'worker 1', 'file.started', { file: '/app/src/a.test.ts', database: 'testdb_shop_1' }, 11],
    [2_000, 'main', 'connections.sampled', sample(3, 100, slow(500))],
    [4_000, 'main', 'connections.sampled', sample(3, 100, slow(2_505))],
    [7_000, 'main', 'connections.sampled', sample(3, 100, slow(5_498))],
    [7_500, 'worker 1', 'file.finished', { file: '/app/src/a.test.ts' }, 11],
    END,
  ])
  expect(report.slowQueries).toMatchObject([
    { query: 'select pg_sleep(6)', durationMs: 5_498, startMs: 1_500, file: 'src/a.test.ts', severity: 'critical' },
  ])
  expect(report.problems[0]?.text).toBe(
    'a statement ran for 5.5 s waiting for a lock in src/a.test.ts: select pg_sleep(6)',
  )
})

test('a wait that ends with the failure of the start was in vain, and is told before everything else', () => {
  const holders = ['pid 42 (psql, user app, connected for 300 s, idle in transaction: update t set a = 1)']
  const table = 'knex_migrations_lock'
  const report = reportOf('20260101T000004', [
    BEGIN,
    [1_000, 'main', 'lock.waiting', { table, holders, elapsedMs: 0, severity: 'info' }],
    [1_250, 'main', 'connections.sampled', sample(1)],
    [61_000, 'main', 'lock.waiting', { table, holders, elapsedMs: 60_000, severity: 'critical' }],
    [91_000, 'main', 'run.failed', { code: 'TESTDB_MIGRATION_LOCKED', message: 'the lock is held by somebody' }],
    [91_010, 'main', 'run.finished', {}],
  ])
  expect(report.waits).toMatchObject([{ kind: 'lock', waitedMs: 90_000, failed: true, severity: 'critical', holders }])
  expect(report.problems.map(({ text }) => text.split(':')[0])).toEqual([
    'the run did not start',
    'waited 1 min 30 s in vain for the lock of knex_migrations_lock, held by pid 42 (psql, user app, connected for 300 s, idle in transaction',
  ])
  const page = renderPage(report)
  expect(page).toContain('The run did not start')
  expect(page).toContain('having waited 1 min 30 s for the lock of knex_migrations_lock')
  expect(describeRun(report).join('\n')).toContain('failed after 1 min 31 s')
})

test('what was cut off, and files whose process has gone, are told as such', () => {
  const lines: Logged[] = [
    BEGIN,
    READY,
    acquired('worker 1', 900, 11),
    [1_000, 'worker 1', 'file.started', { file: '/app/a.test.ts', database: 'testdb_shop_1' }, 11],
    [1_900, 'worker 1', 'database.reset', { database: 'testdb_shop_1', strategy: 'rows', durationMs: 1 }, 11],
    acquired('worker 1', 3_000, 12),
    [3_100, 'worker 1', 'file.started', { file: '/app/b.test.ts', database: 'testdb_shop_1' }, 12],
    [4_000, 'worker 1', 'file.finished', { file: '/app/b.test.ts' }, 12],
    // The next one of the same process.
    acquired('worker 1', 5_000, 12),
    [5_100, 'worker 1', 'file.started', { file: '/app/c.test.ts', database: 'testdb_shop_1' }, 12],
    [6_000, 'worker 1', 'file.finished', { file: '/app/c.test.ts' }, 12],
  ]
  reportOf('20260101T000005', lines)
  const file = path.join(folder, `20260101T000005-${GONE}`, 'worker_1.jsonl')
  appendFileSync(file, '{"at":1796000005000,"process":"wor')
  const report = collectRun(path.dirname(file))
  expect(report?.state).toBe('killed')
  expect(report?.workers[0]?.files).toEqual([
    { file: 'a.test.ts', startMs: 1_000, endMs: 1_900, finished: false },
    { file: 'b.test.ts', startMs: 3_100, endMs: 4_000, finished: true },
    { file: 'c.test.ts', startMs: 5_100, endMs: 6_000, finished: true },
  ])
  writeFileSync(file, '')
})

test('what tests, statements and servers are called is text, and no statement with a password is shown', () => {
  const nasty = '</script></title><img src=x onerror=alert(1)>"\' \u001b[31m'
  const report = reportOf('20260101T000006', [
    [0, 'main', 'run.started', { runner: nasty, project: nasty, root: '/app', pid: GONE }],
    [10, 'main', 'server.connected', { kind: 'url', summary: nasty }],
    [20, 'main', 'migration.started', { name: nasty, index: 1, total: 1 }],
    [30, 'main', 'template.failed', { template: nasty, message: nasty }],
    [40, 'main', 'lock.healed', { database: nasty, table: nasty, found: nasty }],
    [45, 'main', 'connection.recovered', { what: nasty, cause: nasty, downMs: 3 }],
    [50, 'main', 'warning.raised', { message: `${nasty} alter role app password 'geheim'` }],
    [
      60,
      'main',
      'lock.waiting',
      {
        table: nasty,
        holders: [nasty, "pid 1 (psql: create role x password 'geheim')"],
        elapsedMs: 0,
        severity: 'info',
      },
    ],
    [
      900,
      nasty,
      'finding.raised',
      { guard: nasty, level: 'error', test: nasty, file: nasty, message: nasty, details: {} },
    ],
    [950, nasty, 'file.started', { file: nasty, database: nasty }],
    [
      1_000,
      'main',
      'connections.sampled',
      {
        ...sample(1),
        slow: [
          {
            pid: 1,
            database: nasty,
            applicationName: 'testdb migrate',
            query: nasty,
            elapsedMs: 2_000,
            waitsFor: nasty,
          },
        ],
      },
    ],
    [1_100, 'main', 'run.failed', { code: nasty, message: nasty }],
    END,
  ])
  const page = renderPage(report)
  expect(page).not.toMatch(/<script|<img|<\/script|geheim/)
  expect(page).not.toContain('\u001b')
  expect(page.split('</title>').length - 1).toBe(1 + (page.match(/<svg class="(bar|mark)/g) ?? []).length)
  expect(page.match(/&lt;\/script&gt;/g)?.length).toBeGreaterThan(15)
  expect(describeRun(report).join('\n')).not.toContain('geheim')
  expect(describeRun(report).join('\n')).not.toContain('\u001b')
})
