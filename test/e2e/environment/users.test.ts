/** Who runs the tests: root, an ordinary user, one after the other in one project, a user without a name. */
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterEach, expect } from 'vitest'
import { expectExit, type Outcome, type Project, runIn } from '../project.ts'
import { asRoot, expectGreen, giveTo, newcomer, ORDINARY, VITEST_READ_ONLY } from './lab.ts'

const [VITEST, ...RUN] = VITEST_READ_ONLY.split(' ') as [string, ...string[]]
const NOBODY_HOME = { HOME: '/nonexistent' }

let used: { readonly uid: number; readonly project: Project; readonly output: string }[] = []
async function runAs(uid: number, project: Project): Promise<Outcome> {
  const outcome = await runIn(project, VITEST, RUN, { env: NOBODY_HOME, uid })
  used.push({ uid, project, output: outcome.output })
  return outcome
}

// What other users keep in shared memory and temporary folders is not found by the home's own clean-up.
afterEach(async () => {
  for (const { uid, project, output } of used) {
    const stopped = await runIn(project, 'testdb', ['down'], { env: NOBODY_HOME, uid })
    const status = await runIn(project, 'testdb', ['status'], { env: NOBODY_HOME, uid })
    const folders = new RegExp(`/[^\\s(]*/testdb-${uid}-[0-9a-f]{12}(?![0-9a-f])`, 'g')
    for (const folder of [output, stopped.output, status.output].join('\n').match(folders) ?? [])
      rmSync(folder, { recursive: true, force: true })
  }
  used = []
})

asRoot('an ordinary user, root and the ordinary user again, in one project of the ordinary user', async () => {
  const project = await newcomer('six-users')
  giveTo(ORDINARY, project.root)

  const first = expectGreen(await runAs(ORDINARY, project))
  expectGreen(await runAs(0, project))
  const third = expectGreen(await runAs(ORDINARY, project))

  // The user's own template is found again: root has not touched it.
  expect(first.stderr).toContain('built template')
  expect(third.stderr).not.toContain('built template')
})

asRoot('packages and project that belong to somebody else and can only be read', async () => {
  const project = await newcomer('foreign-project')
  mkdirSync(path.join(project.root, 'node_modules'))
  chmodSync(project.root, 0o555)

  expectGreen(await runAs(ORDINARY, project))

  expect(existsSync(path.join(project.root, 'node_modules', '.cache'))).toBe(false)
})

/** Containers run with any user id; Postgres asks the system for its name. */
asRoot('a user id that /etc/passwd does not know: a coded error that says so', async () => {
  const nameless = 54_321
  const project = await newcomer('nameless')
  giveTo(nameless, project.root)

  const outcome = expectExit(await runAs(nameless, project), 1)

  expect(outcome.output).toContain('TESTDB_SERVER_START_FAILED: ')
  expect(outcome.output).toMatch(/user ID 54321: user does not exist/)
})
