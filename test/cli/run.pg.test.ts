/** `testdb run`: environment, exit codes, signals, and that nothing is left leased. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { StatusReport } from '../../src/cli/status/report.ts'
import { type CliLab, openCliLab, PROJECT } from './lab.ts'

let lab: CliLab
let root: string

beforeAll(async () => {
  lab = await openCliLab()
  root = lab.project({
    ...PROJECT,
    'env.cjs':
      "for (const k of ['DATABASE_URL', 'PGHOST', 'PGPORT', 'PGUSER', 'PGDATABASE', 'PGPASSWORD', 'OWN']) console.log(k, process.env[k])",
    'users.cjs': `const knex = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL })
      knex('users').insert({ name: 'Ada' }).then(() => knex('users').count()).then(([row]) => { console.log('users', row.count); return knex.destroy() })`,
    'signal.cjs': "process.on(process.argv[2], () => process.exit(5)); console.log('ready'); process.stdin.resume()",
    'wait.cjs': "console.log('ready'); process.stdin.resume()",
    // Keeps a lock in an open transaction and does not notice that its parent has gone, only that its connection has.
    'hold.cjs': `const afterCreate = (connection, done) => { connection.on('end', () => process.exit()); done(null, connection) }
      const knex = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { afterCreate } })
      knex.transaction(async (t) => { await t('users').insert({ name: 'late' }); console.log('ready'); await new Promise(() => setInterval(() => {}, 1000)) }).catch(() => {})`,
  }).root
})
afterAll(() => lab.close())

const run = (...words: string[]) => lab.cli(['run', '--', ...words], { cwd: root, env: { OWN: 'mine' } })

async function status(): Promise<StatusReport['servers'][number]> {
  const { stdout } = await lab.cli(['status', '--json'], { cwd: root })
  return (JSON.parse(stdout) as StatusReport).servers[0] as StatusReport['servers'][number]
}

async function expectNothingHeld(): Promise<void> {
  const { runs, databases } = await status()
  expect(runs).toEqual([])
  expect(databases.filter(({ lease }) => lease !== null)).toEqual([])
}

test('gives the command the environment of a migrated database, and its own', async () => {
  const { code, stdout, stderr } = await run(process.execPath, 'env.cjs')
  expect(code).toBe(0)
  const env = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  )
  expect(env).toMatchObject({ PGUSER: 'testdb', PGHOST: '127.0.0.1', OWN: 'mine' })
  expect(env.PGDATABASE).toMatch(/^testdb_shop_\d+$/)
  expect(env.DATABASE_URL).toBe(`postgresql://testdb:${env.PGPASSWORD}@127.0.0.1:${env.PGPORT}/${env.PGDATABASE}`)
  expect(stderr).toContain('built template')
  expect(stderr).not.toContain(String(env.PGPASSWORD))
})

test('the database is migrated and clean each time', async () => {
  for (const _ of [1, 2]) expect((await run(process.execPath, 'users.cjs')).stdout).toContain('users 1')
  await expectNothingHeld()
})

test.concurrent.each([
  ['its exit code', [process.execPath, '-e', 'process.exit(7)'], 7],
  [
    '128 + the number of the signal that killed it',
    [process.execPath, '-e', "process.kill(process.pid, 'SIGKILL')"],
    137,
  ],
  ['127 when there is no such command', ['no-such-command'], 127],
  ['126 when it can not be executed', ['/etc/passwd'], 126],
])('gives %s', async (_what, words, code) => {
  expect((await run(...words)).code).toBe(code)
})

test('options behind the command are the command’s, with and without --', async () => {
  const script = 'console.log(process.argv.slice(1).join())'
  for (const words of [['run'], ['run', '--']]) {
    const { stdout } = await lab.cli([...words, process.execPath, '-e', script, '--', '--json', '--config=x'], {
      cwd: root,
    })
    expect(stdout.trim()).toBe('--json,--config=x')
  }
})

test.concurrent.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'passes %s on and waits for the command',
  async (signal) => {
    const running = lab.start(['run', '--', process.execPath, 'signal.cjs', signal], { cwd: root })
    await running.says('ready')
    running.child.kill(signal)
    expect((await running.ended).code).toBe(5)
  },
)

test('a command that SIGTERM kills is 143, and the database is free', async () => {
  const running = lab.start(['run', '--', process.execPath, 'wait.cjs'], { cwd: root })
  await running.says('ready')
  const { runs, databases } = await status()
  expect(runs).toMatchObject([{ runner: 'run', project: 'shop', pid: running.child.pid }])
  expect(databases.filter(({ lease }) => lease?.applicationName === 'testdb lease:shop')).toHaveLength(1)
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(143)
  await expectNothingHeld()
})

test('a grandchild that survives keeps neither the lease nor its transaction', async () => {
  const script = `'${process.execPath}' hold.cjs & wait`
  const running = lab.start(['run', '--', 'sh', '-c', script], { cwd: root })
  await running.says('ready')
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(143)
  await expectNothingHeld()
  expect((await run(process.execPath, 'users.cjs')).stdout).toContain('users 1')
})

test('a migration that fails is exit code 1 with the error, and status shows it', async () => {
  const broken = lab.project({
    ...PROJECT,
    'package.json': '{"name":"broken"}',
    'migrations/002_bad.js': "exports.up = (knex) => knex.raw('select * from nothing_here'); exports.down = () => {}",
  })
  const { code, stdout, stderr } = await lab.cli(['run', '--', 'echo', 'never'], { cwd: broken.root })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain('TESTDB_MIGRATION_FAILED')
  const { stdout: text } = await lab.cli(['status'], { cwd: root })
  expect(text).toMatch(/broken · failed: TESTDB_MIGRATION_FAILED: .*002_bad/)
  const { templates } = await status()
  expect(templates.find(({ project }) => project === 'broken')).toMatchObject({
    state: 'failed',
    error: { code: 'TESTDB_MIGRATION_FAILED' },
  })
})
