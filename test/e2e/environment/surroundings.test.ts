/** What surrounds the process: variables, streams, limits, the network, process ids. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, expect, inject, test } from 'vitest'
import { expectExit, expectNothingLeft, type Outcome, type Project, type RunOptions, runIn } from '../project.ts'
import { asRoot, expectGreen, newcomer, runApart } from './lab.ts'

let project: Project
beforeAll(async () => {
  project = await newcomer('surroundings')
})

/** From a stopped server: these rows matter most while it is started. */
async function cold(command: string, args: readonly string[], env: RunOptions['env'] = {}): Promise<Outcome> {
  expectExit(await runIn(project, 'testdb', ['down']), 0)
  return runIn(project, command, args, { env })
}
const sh = (script: string, env?: RunOptions['env']): Promise<Outcome> => cold('bash', ['-c', script], env)

test('no HOME, no programs on the PATH, no TMPDIR that exists, a time zone and a language of its own', async () => {
  const vitest = path.join(inject('e2eHome'), 'node_modules', 'vitest', 'vitest.mjs')
  const env = {
    ...{ HOME: undefined, USER: undefined, LOGNAME: undefined, SHELL: undefined, PATH: '/nonexistent' },
    ...{ LANG: undefined, LC_ALL: 'xx_YY', TZ: 'Asia/Kathmandu', TMPDIR: path.join(project.root, 'no', 'such', 'tmp') },
  }
  const outcome = expectGreen(await cold(process.execPath, [vitest, 'run'], env))
  expect(outcome.stderr).toContain('started embedded PostgreSQL')
  await expectNothingLeft(project)
})

test('in CI and production, with few open files, a private umask, no standard input and a TMPDIR too long for a socket', async () => {
  const TMPDIR = path.join(project.root, 't'.repeat(90))
  mkdirSync(TMPDIR)
  const outcome = await sh('umask 077; ulimit -n 256; exec vitest run <&-', {
    CI: 'true',
    NODE_ENV: 'production',
    TMPDIR,
  })
  expectGreen(outcome)
  expect(outcome.stderr).toContain('started embedded PostgreSQL')
})

test('nobody listens to the output', async () => {
  // Without any output: the exit code is all there is.
  expect((await sh('exec vitest run >&- 2>&-')).exitCode).toBe(0)
  // The reader leaves after one line. Vitest itself fails then; what counts is that it ends, and what is left.
  expectExit(await sh('vitest run 2>&1 | head -n 1'), 0)
  await expectNothingLeft(project)
  expectGreen(await runIn(project, 'vitest', ['run']))
})

asRoot('no network but loopback', async () => {
  const alone = await newcomer('no-network')
  expectGreen(await runApart(alone, ['--net'], 'ip link set lo up && vitest run && testdb down'))
})

asRoot('process ids of its own, as in a container: a second run attaches to the server of the first', async () => {
  const contained = await newcomer('pid-namespace')
  const script = 'vitest run && echo AGAIN && vitest run && testdb down'
  // Not the common one: process ids mean nothing to those outside, whose files there are named by theirs.
  const env = { TESTDB_IDLE: '30000', TMPDIR: path.join(contained.root, 'tmp') }
  mkdirSync(env.TMPDIR)
  const outcome = await runApart(contained, ['--mount', '--pid', '--fork', '--mount-proc'], script, { env })

  expectExit(outcome, 0)
  const [first = '', second = ''] = outcome.output.split('AGAIN')
  for (const part of [first, second]) expect(part).toMatch(/Tests\s+2 passed \(2\)/)
  expect(first).toContain('started embedded PostgreSQL')
  expect(second).not.toContain('started embedded PostgreSQL')
})
