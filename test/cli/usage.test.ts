/** Usage, help and exit codes: no server is touched. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CliLab, openCliLab } from './lab.ts'

const COMMANDS = ['run', 'reset', 'status', 'doctor', 'up', 'down', 'prune']

let lab: CliLab
beforeAll(async () => {
  lab = await openCliLab()
})
afterAll(() => lab.close())

test('the built file starts with the line that makes it a program', async () => {
  const { readFileSync } = await import('node:fs')
  expect(readFileSync(lab.file, 'utf8').split('\n', 1)[0]).toBe('#!/usr/bin/env node')
})

test('--version prints the version of the package', async () => {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
  expect(await lab.cli(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
})

test('--help lists every command on stdout', async () => {
  const { code, stdout, stderr } = await lab.cli(['--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
})

test.concurrent.each(COMMANDS)('the help of %s has an example', async (name) => {
  const { code, stdout } = await lab.cli([name, '--help'])
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`Example:\n {2}\\$ npx testdb ${name}\\b`))
})

const WRONG: [args: string[], message: RegExp][] = [
  [[], /Usage: testdb/],
  [['statsu'], /unknown command 'statsu'\n\(Did you mean status\?\)/],
  [['status', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
  [['status', 'extra'], /too many arguments/],
  [['run'], /missing required argument 'command'/],
  [['run', '--'], /missing required argument 'command'/],
  [['status', '--cwd', '/does/not/exist'], /\/does\/not\/exist is not a folder/],
  [['reset', '--wait', 'soon'], /Expected a number of seconds/],
  [['reset', '--table'], /argument missing/],
  [['reset', '--url', 'mysql://u:geheim@h/app_test'], /--url: expected a connection string/],
  [['reset', '--url', 'postgres://h/app_test', '--all'], /does not go with --url/],
  [
    ['doctor', '--users', '50'],
    /--users asks about connections and needs --budget: npx testdb doctor --budget --users 50/,
  ],
  [['doctor', '--json', '--lock-pool', '0'], /--lock-pool asks .* needs --budget/],
  [['doctor', '--max-connections', '50'], /--max-connections asks .* needs --budget/],
  [
    ['doctor', '--budget', '--users', '0'],
    /'--users <n>' argument '0' is invalid. Expected a whole number from 1 to 100000/,
  ],
  [['doctor', '--budget', '--pool', '0'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--pods', '0'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--max-connections', '0'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--background', '-1'], /Expected a whole number from 0 to 100000/],
  [['doctor', '--budget', '--maintenance', '1.5'], /Expected a whole number from 0 to 100000/],
  [['doctor', '--budget', '--lock-pool', '100001'], /Expected a whole number from 0 to 100000/],
  [['doctor', '--budget', '--users', 'fifty'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--users', '1e3'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--users', '99999999999999999999'], /Expected a whole number from 1 to 100000/],
  [['doctor', '--budget', '--users'], /argument missing/],
  [['prune', '--keep-days', '1.5'], /Expected a whole number of days/],
]

test.concurrent.each(WRONG)('wrong usage: %j', async (args, message) => {
  const { code, stdout, stderr } = await lab.cli(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(message)
  expect(stderr).not.toContain('geheim')
})

test('an error of the configuration is its message, without a stack', async () => {
  const { root } = lab.project({ 'testdb.config.mjs': 'export default { isolaton: 1 }' }, [])
  const { code, stdout, stderr } = await lab.cli(['status'], { cwd: root })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^TESTDB_CONFIG_INVALID: /)
  expect(stderr).not.toMatch(/^ +at /m)
})

test('TESTDB_LOG=debug adds the stack', async () => {
  const { root } = lab.project({ 'testdb.config.mjs': 'throw new Error("boom")' }, [])
  const { code, stderr } = await lab.cli(['status'], { cwd: root, env: { TESTDB_LOG: 'debug' } })
  expect(code).toBe(1)
  expect(stderr).toMatch(/TESTDB_CONFIG_LOAD_FAILED: .*boom[\s\S]*^ +at /m)
  expect(stderr).toContain('caused by')
})

test('--cwd and --config may stand before and after the command', async () => {
  const { root } = lab.project({ 'other.mjs': 'export default { pool: { max: 0 } }' }, [])
  for (const args of [
    ['--cwd', root, '--config', 'other.mjs', 'status'],
    ['status', '--config', 'other.mjs', '--cwd', root],
  ]) {
    const { code, stderr } = await lab.cli(args)
    expect(code).toBe(1)
    expect(stderr).toContain("pool.max: expected 'auto', or an integer")
  }
})
