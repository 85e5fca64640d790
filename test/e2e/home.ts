/**
 * Global setup of the end-to-end tests: packs the built package and installs it once, with the runners, into a temporary
 * folder (the home). Every project of the tests is a folder in it and finds its packages by walking up.
 *
 * With TESTDB_E2E_HOME the home is kept and used again, and only the package in it is replaced: for working on these tests,
 * and for the version matrix, which installs other versions there.
 */
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import type { TestProject } from 'vitest/node'
import { installHome } from './install.ts'
import { removeServers } from './servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    e2eHome: string
  }
}

const PREFIX = 'testdb-e2e-'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeOrphans()
  const kept = process.env.TESTDB_E2E_HOME
  // The process id in the name tells later runs whether this one still lives; the space is for code that forgets about them.
  const home = await realpath(kept ?? (await mkdtemp(path.join(tmpdir(), `${PREFIX}${process.pid}-a home-`))))
  await installHome(home)
  project.provide('e2eHome', home)
  return async () => {
    const left = await removeAllServers(home)
    if (kept === undefined) await rm(home, { recursive: true, force: true })
    if (left.length === 0) return
    // An error thrown here does not change the exit code of Vitest 4.
    console.error(`left behind by the end-to-end tests: ${left.join(', ')}`)
    process.exitCode = 1
  }
}

/** Stops the servers of all projects and removes their data; returns the processes that are left. */
async function removeAllServers(home: string): Promise<string[]> {
  for (const name of await readdir(home)) {
    await removeServers({ projectRoot: path.join(home, name) })
  }
  return processesOf(home)
}

async function processesOf(home: string): Promise<string[]> {
  if (process.platform === 'win32') {
    console.warn('SKIPPED: on Windows nobody looks for processes that the tests left behind')
    return []
  }
  const { stdout } = await execa('ps', ['-eo', 'pid=,args='])
  return stdout.split('\n').filter((line) => line.includes(`${home}/`))
}

/** Homes of test processes that were killed. Their servers have ended by themselves, their data has not. */
async function removeOrphans(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN
    if (Number.isNaN(pid) || isAlive(pid)) continue
    const home = path.join(tmpdir(), name)
    await removeAllServers(home)
    await rm(home, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
