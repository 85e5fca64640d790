/**
 * Vitest's globalSetup for tests whose processes run without Vitest (actors, the command line, other users, the
 * supervisor itself): all that they run is built once, `builtFile()` says where it is. Into a folder of its own: the
 * tests need no `dist`, and a build of it meanwhile does not disturb them.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { build } from 'tsdown'
import { sharedSetup } from './shared-setup.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    built: string
  }
}

const root = path.resolve(import.meta.dirname, '../..')
// Below the package, so that its dependencies and its package.json are found.
const cache = path.join(root, 'node_modules', '.cache', 'testdb-tests')
const from = (entries: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, path.join(root, file)]))

export default sharedSetup({
  name: 'built',
  needed: /\.pg\.test\.ts$|\.crash\.test\.ts$|\/test\/(cli|server|containers)\//,
  open: buildAll,
  provide: (project, folder) => project.provide('built', folder),
  close: (folder) => rmSync(folder, { recursive: true, force: true }),
})

async function buildAll(): Promise<string> {
  removeOfTheDead()
  const outDir = path.join(cache, `built-${process.pid}`)
  await build({
    config: false,
    cwd: root,
    entry: from({
      cli: 'src/cli/main.ts',
      supervisor: 'src/server/supervisor.ts',
      embedded: 'src/server/embedded/index.ts',
      containers: 'src/server/testcontainers/index.ts',
      'actor-scripts': 'test/helpers/actor-scripts.ts',
      'actor-main': 'test/crash/actor-main.ts',
      'worker-actor': 'test/crash/worker-actor.ts',
    }),
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    outDir,
    clean: true,
    dts: false,
    logLevel: 'silent',
  })
  return outDir
}

/** What runs that were killed have left behind. */
function removeOfTheDead(): void {
  mkdirSync(cache, { recursive: true })
  for (const name of readdirSync(cache)) {
    const pid = /^built-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(path.join(cache, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
