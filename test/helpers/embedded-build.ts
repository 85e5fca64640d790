/**
 * Builds the embedded server for processes that run without Vitest (actors, other users, the supervisor itself), into a
 * folder of its own: the tests need no `dist`, and a build of it meanwhile does not disturb them.
 */
import { cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'tsdown'
import { type StopPoint, stopHook } from './stop-at.ts'

const root = path.resolve(import.meta.dirname, '../..')

/** Folder of `embedded.mjs`, `containers.mjs` and `supervisor.mjs`; below the package, so that their dependencies are found. */
export async function buildEmbedded(): Promise<string> {
  const outDir = path.join(root, 'node_modules', '.cache', 'testdb-tests', `embedded-${process.pid}`)
  await build({
    config: false,
    cwd: root,
    entry: {
      embedded: path.join(root, 'src/server/embedded/index.ts'),
      containers: path.join(root, 'src/server/testcontainers/index.ts'),
      supervisor: path.join(root, 'src/server/supervisor.ts'),
    },
    format: 'esm',
    platform: 'node',
    outDir,
    clean: true,
    dts: false,
    logLevel: 'silent',
  })
  return outDir
}

let copies = 0

/**
 * A copy of the build whose supervisors can be told from others by their command line, and stop where `stop` says: a
 * supervisor gets nothing of its starter's environment, NODE_OPTIONS least of all.
 */
export async function copyEmbedded(built: string, stop?: StopPoint): Promise<string> {
  copies += 1
  const folder = path.join(built, `copy-${copies}`)
  await mkdir(folder)
  for (const name of await readdir(built)) {
    if (!name.startsWith('copy-')) await cp(path.join(built, name), path.join(folder, name), { recursive: true })
  }
  if (stop !== undefined) {
    const supervisor = path.join(folder, 'supervisor.mjs')
    await rename(supervisor, path.join(folder, 'real-supervisor.mjs'))
    const { NODE_OPTIONS: _, ...env } = stop.env
    await writeFile(path.join(folder, 'stop-env.mjs'), `Object.assign(process.env, ${JSON.stringify(env)})\n`)
    const imports = ['./stop-env.mjs', pathToFileURL(stopHook).href, './real-supervisor.mjs']
    await writeFile(supervisor, imports.map((one) => `import ${JSON.stringify(one)}\n`).join(''))
  }
  return folder
}
