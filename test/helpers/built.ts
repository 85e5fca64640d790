/** What `global-build.ts` has built for processes that run without Vitest. */
import { chmod, cp, mkdtemp, readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { inject } from 'vitest'
import { type StopPoint, stopHook } from './stop-at.ts'

type Built = 'cli' | 'embedded' | 'containers' | 'actor-scripts' | 'actor-main' | 'worker-actor'

export const builtFile = (name: Built, folder = inject('built')): string => path.join(folder, `${name}.mjs`)

const COPY = 'copy-'

/**
 * Folder of a copy of the build whose supervisors can be told from others by their command line, and stop where `stop`
 * says: a supervisor gets nothing of its starter's environment, NODE_OPTIONS least of all.
 */
export async function copyBuilt(stop?: StopPoint): Promise<string> {
  const built = inject('built')
  const folder = await mkdtemp(path.join(built, COPY))
  // It is run by other users, too.
  await chmod(folder, 0o755)
  for (const name of await readdir(built)) {
    if (!name.startsWith(COPY)) await cp(path.join(built, name), path.join(folder, name), { recursive: true })
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
