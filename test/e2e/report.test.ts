/** The record of real runs: one that is well, one with a finding and a slow statement, one that was killed, one that did not start. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { RunReport } from '../../src/report/run-report.ts'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig, writingTest } from './files.ts'
import { expectExit, follow, makeProject, type Project, runIn, startIn } from './project.ts'

/** As a test's name: what a page must not take for its own. */
const NASTY = '</script><img src=x onerror=alert(1)>'

/** Says what a guard would say, and what takes its time. */
const GUILTY = `import { channel } from 'node:diagnostics_channel'
import { test } from 'testdb/vitest/fixtures'

test('${NASTY}', async ({ db }) => {
  await db.query('select pg_sleep(1.3) /* <b>slow</b> */')
  await db.query("select pg_sleep(0.8) /* password = 'geheim' */")
  const payload = { guard: 'idleInTransaction', level: 'error', test: '${NASTY}', file: import.meta.filename, message: 'a session sits in a transaction\\n  pid 1: <img src=x onerror=alert(2)>', details: {} }
  channel('testdb:*').publish({ name: 'finding.raised', payload })
})
`

const reports = (project: Project): string => path.join(project.root, 'node_modules', '.cache', 'testdb-reports')
const report = async (project: Project, ...args: string[]) => await runIn(project, 'testdb', ['report', ...args])
const lastReport = async (project: Project): Promise<RunReport> =>
  JSON.parse(expectExit(await report(project, '--json'), 0).stdout) as RunReport
const filesOf = ({ workers }: RunReport): string[] =>
  workers.flatMap(({ files }) => files.map(({ file }) => file)).sort()

test('vitest: a run that is well says one line, one that is not a table; both are on record, as text, data and page', async () => {
  const project = await makeProject('report-vitest', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'a.test.js': writingTest('a'),
    'b.test.js': writingTest('b'),
  })
  const nothing = expectExit(await report(project), 1)
  expect(nothing.stderr).toContain('TESTDB_REPORT_MISSING')

  const good = expectExit(await runIn(project, 'vitest', ['run']), 0)
  expect(good.stderr).toMatch(
    /^testdb: 2 files, \d workers?, [\d.]+ s set-up, resets 6 \(median [\d.]+ ms, p95 [\d.]+ ms\), peak \d+ of \d+ connections$/m,
  )
  expect(good.stderr).not.toContain('testdb report')
  const well = await lastReport(project)
  expect(well).toMatchObject({ format: 1, project: 'report-vitest', runner: 'vitest', state: 'finished', problems: [] })
  expect(well.server?.kind).toBe('embedded')
  expect(well.migrations.map(({ name, endMs }) => [name, endMs !== null])).toEqual([
    ['001_teams.sql', true],
    ['002_notes.sql', true],
  ])
  expect(well.templates.map(({ how }) => how)).toEqual(['built'])
  expect(filesOf(well)).toEqual(['a.test.js', 'b.test.js'])
  expect(well.workers.every(({ files }) => files.every(({ finished }) => finished))).toBe(true)
  // After each test, and when a file gives its database back.
  expect(well.resets.byStrategy.rows?.count).toBe(6)
  expect(well.clones.count).toBeGreaterThan(0)
  expect(well.acquires.count).toBeGreaterThanOrEqual(12)
  expect(well.connections.peak).toBeGreaterThan(0)
  expect(JSON.parse(readFileSync(path.join(reports(project), well.run, 'report.json'), 'utf8'))).toEqual(well)

  project.write({ 'c.test.js': GUILTY })
  const bad = expectExit(await runIn(project, 'vitest', ['run']), 0)
  expect(bad.stderr).toMatch(
    /^ {2}✗ idleInTransaction: "<\/script>.*" in c\.test\.js: a session sits in a transaction$/m,
  )
  expect(bad.stderr).toMatch(/^ {2}! a statement ran for 1\.[1-9] s in c\.test\.js: select pg_sleep\(\?\)/m)
  expect(bad.stderr).toContain('npx testdb report --html')
  const told = await lastReport(project)
  expect(told.findings).toMatchObject([{ guard: 'idleInTransaction', level: 'error', test: NASTY, file: 'c.test.js' }])
  expect(told.templates.map(({ how }) => how)).toEqual(['reused'])
  expect(told.slowQueries.map(({ query, file }) => [query, file])).toEqual([
    ['select pg_sleep(?)', 'c.test.js'],
    ['', 'c.test.js'],
  ])

  const text = expectExit(await report(project), 0).stdout
  expect(text).toContain('2 problems')
  const list = expectExit(await report(project, '--list'), 0).stdout.split('\n')
  expect(list.map((line) => line.slice(0, 1))).toEqual(['✗', '✓'])
  expect(expectExit(await report(project, well.run), 0).stdout).toContain('no problems')
  const page = readFileSync(expectExit(await report(project, '--html'), 0).stdout.trim(), 'utf8')
  expect(page).toContain('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;')
  expect(page).not.toMatch(/<script|<img|<b>slow/)
  const everything = readdirSync(path.join(reports(project), told.run)).map((name) =>
    readFileSync(path.join(reports(project), told.run, name), 'utf8'),
  )
  expect(everything.join('\n')).not.toContain('geheim')
})

test('two runs at once, one of them killed, and one that does not start: each has a record of its own', async () => {
  const hangs = `import { test } from 'vitest'
process.once('disconnect', () => process.exit())
test('hangs', async () => { console.log('it hangs'); await new Promise((resolve) => setTimeout(resolve, 60_000)) }, 70_000)
`
  const project = await makeProject('report-ends', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...vitestConfig(),
    'testdb.config.mjs': "export default { report: { print: 'never', keep: 2 } }\n",
    'hangs.test.js': hangs,
    'b.test.js': writingTest('b'),
  })
  const killed = follow(startIn(project, 'vitest', ['run', 'hangs', '--disableConsoleIntercept']))
  await killed.until(/it hangs/)
  const other = expectExit(await runIn(project, 'vitest', ['run', 'b.test']), 0)
  expect(other.stderr).not.toMatch(/testdb: 1 file/)
  const well = await lastReport(project)
  expect([well.state, filesOf(well), well.resets.count]).toEqual(['finished', ['b.test.js'], 3])

  const hanging = readdirSync(reports(project)).find((name) => name !== well.run) ?? ''
  const during = JSON.parse((await report(project, hanging, '--json')).stdout) as RunReport
  expect([during.state, filesOf(during)]).toEqual(['running', ['hangs.test.js']])
  killed.child.kill('SIGKILL')
  await killed.child
  const after = JSON.parse((await report(project, hanging, '--json')).stdout) as RunReport
  expect([after.state, filesOf(after), after.run]).toEqual(['killed', ['hangs.test.js'], hanging])
  expect(after.problems[0]?.text).toContain('ended from outside')

  project.write({ 'migrations/003_wrong.sql': 'select pg_sleep(0.3); create tabel x ();' })
  expectExit(await runIn(project, 'vitest', ['run', 'b.test']), 1)
  const failed = await lastReport(project)
  expect([failed.state, failed.failure?.code, failed.setUpMs, filesOf(failed)]).toEqual([
    'failed',
    'TESTDB_MIGRATION_FAILED',
    null,
    [],
  ])
  expect(failed.migrations.map(({ name, endMs }) => [name, endMs !== null])).toEqual([
    ['001_teams.sql', true],
    ['002_notes.sql', true],
    ['003_wrong.sql', false],
  ])
  // Two are kept: the killed one, which is the oldest, is not among them.
  expect(readdirSync(reports(project)).sort()).toEqual([well.run, failed.run].sort())
})

test('jest: the same record, also of tests in the main process', async () => {
  const tests = (name: string): string => `const pg = require('pg')
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
for (const round of [1, 2]) test('${name} ' + round, async () => {
  await pool.query("insert into teams (name) values ('green')")
})
`
  const project = await makeProject('report-jest', {
    ...SQL_MIGRATIONS,
    'package.json': { name: 'report-jest', private: true, jest: { preset: 'testdb' } },
    'a.test.js': tests('a'),
    'b.test.js': tests('b'),
  })
  for (const args of [['--maxWorkers=2'], ['--runInBand']]) {
    const { stderr } = expectExit(await runIn(project, 'jest', args), 0)
    expect(stderr).toMatch(/^testdb: 2 files, \d workers?, .* resets 6 /m)
    const { state, runner, resets, acquires, ...rest } = await lastReport(project)
    expect([state, runner, resets.count, acquires.count >= 4]).toEqual(['finished', 'jest', 6, true])
    expect(filesOf({ ...rest, state, runner, resets, acquires })).toEqual(['a.test.js', 'b.test.js'])
  }
})
