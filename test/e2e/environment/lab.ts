/** What the environment tests share: a newcomer's project, runs in namespaces of their own, and what must be left of them. */
import { lchownSync, readdirSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { SQL_MIGRATIONS, vitestConfig } from '../files.ts'
import { expectExit, type Files, makeProject, type Outcome, type Project, type RunOptions, runIn } from '../project.ts'

/** A user that every Unix has and that owns nothing. */
export const ORDINARY = 65_534

/** Two tests that write the same rows, through a pool of the user's own. It writes to no file, so it runs where nothing can be written. */
export const PLAIN_SUITE = `import { afterAll, expect, test } from 'vitest'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
pool.on('error', () => undefined)
afterAll(() => pool.end())

for (const round of [1, 2]) {
  test('round ' + round, async () => {
    const found = await pool.query('select (select count(*)::int from notes) as notes, (select count(*)::int from teams) as teams')
    expect(found.rows).toEqual([{ notes: 0, teams: 2 }])
    await pool.query("insert into notes (body) values ('x')")
  })
}
`

/** Two SQL migrations and one test file with two tests. */
export async function newcomer(name: string, files: Files = {}): Promise<Project> {
  return makeProject(name, { ...SQL_MIGRATIONS, ...vitestConfig(), 'a.test.js': PLAIN_SUITE, ...files })
}

/** The run was green, and really ran that many tests. */
export function expectGreen(outcome: Outcome, tests = 2): Outcome {
  expectExit(outcome, 0)
  expect(outcome.output).toMatch(new RegExp(`Tests\\s+${tests} passed \\(${tests}\\)`))
  return outcome
}

/** Tests that need Linux and root, for namespaces, mounts and other users. Where that is missing it is said, not hidden. */
export const asRoot: typeof test.skip = linuxRoot() ? test : skipLoudly('they need Linux and root')

function linuxRoot(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0
}

function skipLoudly(reason: string): typeof test.skip {
  console.warn(`SKIPPED: environment tests of ${path.basename(expect.getState().testPath ?? 'this file')}: ${reason}`)
  return test.skip
}

/** Gives a project to a user, as if that one had made it. */
export function giveTo(uid: number, root: string): void {
  lchownSync(root, uid, uid)
  for (const name of readdirSync(root, { recursive: true })) lchownSync(path.join(root, name.toString()), uid, uid)
}

/** `vitest run` for folders that Vite can not write its bundled configuration to. */
export const VITEST_READ_ONLY = 'vitest run --configLoader=runner'

/**
 * Runs a script in new namespaces (`--mount`, `--net`, …) of the project's folder; `$1` is the home. Whatever the run started
 * must be gone soon after it.
 */
export async function runApart(
  project: Project,
  namespaces: readonly string[],
  script: string,
  options: RunOptions = {},
): Promise<Outcome> {
  const show = 'readlink /proc/self/ns/mnt /proc/self/ns/net\n'
  const args = [...namespaces, 'bash', '-uc', `${show}${script}`, 'bash', path.dirname(project.root)]
  const outcome = await runIn(project, 'unshare', args, { ...options, env: { TESTDB_IDLE: '500', ...options.env } })
  const ours = ['mnt', 'net'].map((kind) => readlinkSync(`/proc/self/ns/${kind}`))
  const theirs = outcome.stdout.split('\n', 2).filter((name) => !ours.includes(name))
  expect(theirs, outcome.output).not.toEqual([])
  await expect.poll(() => processesIn(theirs), { timeout: 30_000 }).toEqual([])
  return outcome
}

function processesIn(namespaces: readonly string[]): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return ['mnt', 'net'].some((kind) => namespaces.includes(readlinkSync(`/proc/${pid}/ns/${kind}`)))
    } catch {
      return false
    }
  })
}
