/** The folder that CI keeps from job to job: a stopped server's data are used again by another checkout. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig, writingTest } from './files.ts'
import { expectExit, type Files, makeProject, type Project, runIn } from './project.ts'
import { inventory, removeServers } from './servers.ts'

const files: Files = {
  ...SQL_MIGRATIONS,
  ...NOTE_ESM,
  ...vitestConfig(),
  'testdb.config.js': `export default { server: { kind: 'embedded', storage: 'disk' } }\n`,
  'one.test.js': writingTest('one'),
}
const cacheOf = (project: Project): string => path.join(project.root, '.cache/testdb')
const projects: Project[] = []
afterAll(async () => {
  for (const project of projects) await removeServers({ projectRoot: project.root, cacheDir: cacheOf(project) })
})

async function job(name: string): Promise<Project> {
  const project = await makeProject(name, files)
  project.write({ 'package.json': { name: 'cached', private: true, type: 'module' } })
  projects.push(project)
  return project
}

async function runJob(project: Project): Promise<string> {
  const env = { TESTDB_CACHE_DIR: cacheOf(project), CI: 'true' }
  const { output } = expectExit(await runIn(project, 'vitest', ['run'], { env }), 0)
  return output
}

test('the next job finds the template of the last one, and makes none', async () => {
  const first = await job('cached-first')
  await runJob(first)
  const made = await inventory({ projectRoot: first.root, cacheDir: cacheOf(first) })
  expectExit(await runIn(first, 'testdb', ['down'], { env: { TESTDB_CACHE_DIR: cacheOf(first) } }), 0)

  // As actions/cache does it: an archive, unpacked on another machine.
  const second = await job('cached-second')
  mkdirSync(cacheOf(second), { recursive: true })
  chmodSync(path.dirname(cacheOf(second)), 0o755)
  const archive = path.join(second.root, 'archive.tar')
  execFileSync('tar', ['-C', cacheOf(first), '-cpf', archive, '.'])
  execFileSync('tar', ['-C', cacheOf(second), '-xpf', archive])
  rmSync(archive)
  await removeServers({ projectRoot: first.root, cacheDir: cacheOf(first) })

  await runJob(second)
  const found = await inventory({ projectRoot: second.root, cacheDir: cacheOf(second) })
  expect(found.templates).toEqual(made.templates)
}, 180_000)
