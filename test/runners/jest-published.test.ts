import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CONTEXT_VARIABLE, type RunContext } from '../../src/databases/context.ts'
import { makeRunFolder, type RunFolder } from '../../src/run-folder.ts'
import { type Published, publishRuns, runOf } from '../../src/runners/jest/published.ts'

let folder: RunFolder
let before: string | undefined
beforeEach(() => {
  folder = makeRunFolder()
  before = process.env[CONTEXT_VARIABLE]
  delete process.env[CONTEXT_VARIABLE]
})
afterEach(() => {
  folder.remove()
  if (before === undefined) delete process.env[CONTEXT_VARIABLE]
  else process.env[CONTEXT_VARIABLE] = before
})

const contextOf = (project: string): RunContext => ({ project }) as RunContext
const runs: readonly Published[] = [
  { root: '/repo', context: contextOf('repo') },
  { root: '/repo/pears', context: contextOf('pears') },
  { root: '/repo/front', failed: { code: 'TESTDB_MIGRATOR_MISSING', what: 'no migrations', fixes: ['Add some.'] } },
]

test('a private file that the environment names, until it is taken back', async () => {
  const retract = publishRuns(runs, folder.path)
  const file = process.env[CONTEXT_VARIABLE] ?? ''
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(file).toBe(join(folder.path, 'runs.json'))
  retract()
  expect(process.env[CONTEXT_VARIABLE]).toBeUndefined()
  expect(() => runOf('/repo/a.test.js')).toThrow('TESTDB_RUN_MISSING')
})

test.each([
  ['/repo/a.test.js', 'repo'],
  ['/repo/pears/deep/a.test.js', 'pears'],
  ['/repo/pears-and-apples/a.test.js', 'repo'],
  ['/elsewhere/a.test.js', 'repo'],
])('%s belongs to the run of %s', (file, project) => {
  publishRuns(runs, folder.path)
  expect(runOf(file)).toMatchObject({ project })
})

test('a root without a run tells why', () => {
  publishRuns(runs, folder.path)
  expect(() => runOf('/repo/front/a.test.js')).toThrow('no migrations')
})
