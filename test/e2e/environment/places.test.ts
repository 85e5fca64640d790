/** Where a project lies: odd and long names, behind a symbolic link, in a worktree of git. */
import { rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { expect, inject, test } from 'vitest'
import { NOTE_ESM, writingTest } from '../files.ts'
import { expectNothingLeft, type Project, runIn } from '../project.ts'
import { inventory, removeServers } from '../servers.ts'
import { expectGreen, newcomer } from './lab.ts'

/** Backslash and # are left out: Vite itself finds no test file below them. */
const ODD = `it's "100%" o;d:d, ünï 日本 $x [1] `

test('a path with spaces, quotes, a semicolon, a colon and other scripts, of more than 110 characters', async () => {
  const project = await newcomer(`${ODD}${'x'.repeat(110)}`)

  expectGreen(await runIn(project, 'vitest', ['run']))
  expectGreen(await runIn(project, 'vitest', ['run']))

  await expectNothingLeft(project)
})

test('the same project through a symbolic link: the same server and the same databases', async () => {
  const project = await newcomer('linked', { ...NOTE_ESM, 'a.test.js': writingTest('a') })
  const link = path.join(inject('e2eHome'), 'a link')
  rmSync(link, { force: true })
  symlinkSync(project.root, link)

  expectGreen(await runIn(project, 'vitest', ['run']))
  const direct = await inventory({ projectRoot: project.root })
  const linked = expectGreen(await runIn({ ...project, root: link }, 'vitest', ['run']))

  expect(linked.stderr).not.toMatch(/started embedded|built template/)
  expect(await inventory({ projectRoot: project.root })).toEqual(direct)
})

test('a worktree of git: a server of its own, though the registry names are the same', async () => {
  const files = { ...NOTE_ESM, 'a.test.js': writingTest('a'), '.gitignore': 'notes.jsonl\nnode_modules\n' }
  const main = await newcomer('git-main', files)
  const root = path.join(inject('e2eHome'), 'git-tree')
  // Left of an earlier run in a kept home.
  await removeServers({ projectRoot: root })
  rmSync(root, { recursive: true, force: true })
  const git = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false']
  for (const args of [
    ['init', '-q'],
    ['add', '-A'],
    [...git, 'commit', '-q', '-m', 'all'],
    ['worktree', 'add', '-q', root],
  ])
    expect((await runIn(main, 'git', args)).exitCode).toBe(0)
  const tree: Project = { ...main, root }

  const both = await Promise.all([runIn(main, 'vitest', ['run']), runIn(tree, 'vitest', ['run'])])

  for (const outcome of both) {
    expectGreen(outcome)
    expect(outcome.stderr).toContain('started embedded PostgreSQL')
  }
  const ports = both.map(({ stderr }) => /on port (\d+)/.exec(stderr)?.[1])
  expect(new Set(ports).size).toBe(2)
  for (const one of [main, tree]) await expectNothingLeft(one)
  await removeServers({ projectRoot: root })
})
