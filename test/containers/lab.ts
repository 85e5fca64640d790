/** A place for containers of one test file: caches of their own on a real engine, and nothing left behind. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Server } from '../../src/server/server.ts'
import type { ContainerOptions } from '../../src/server/testcontainers/index.ts'
import { builtFile } from '../helpers/built.ts'
import type { ActorMessage } from '../helpers/embedded.ts'

/** Set by with-engine.sh, which has found an engine. */
export const IMAGE = process.env.TESTDB_CONTAINER_IMAGE || undefined

/** Why the tests can not run here. */
export const missing =
  IMAGE === undefined
    ? 'no container engine was looked for: npm run test:containers (docker.io and iptables)'
    : undefined

// Not console: a reporter may swallow it.
if (missing !== undefined) writeSync(2, `\n*** SKIPPED: tests of containers: ${missing} ***\n\n`)

type Module = typeof import('../../src/server/testcontainers/index.ts')
type Options = ContainerOptions & { readonly cacheDir: string; readonly image: string }

export interface ContainerLab {
  readonly module: Module
  /** Options with a cache of their own. */
  options(more?: Partial<ContainerOptions>): Options
  /** A process that holds a session. `build` is another copy of the build. */
  spawn(options: Options, how?: { build?: string; env?: Record<string, string> }): ChildProcess
  /** Ids of the containers of that cache folder, in whatever state. */
  containers(options: Options): Promise<string[]>
  close(): Promise<void>
}

const root = path.resolve(import.meta.dirname, '../..')
const actor = path.join(import.meta.dirname, 'actor.mjs')

export async function openContainerLab(): Promise<ContainerLab> {
  const module = (await import(builtFile('containers'))) as Module
  const home = mkdtempSync(path.join(tmpdir(), 'testdb containers '))
  const used: Options[] = []
  const actors: ChildProcess[] = []
  return {
    module,
    options(more = {}) {
      const cacheDir = path.join(home, `cache-${used.length}`)
      const options = { projectRoot: root, cacheDir, idleMs: 60_000, image: IMAGE as string, ...more } as Options
      used.push(options)
      return options
    },
    spawn(options, { build, env = {} } = {}) {
      const child = spawn(process.execPath, [actor, builtFile('containers', build), JSON.stringify(options)], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
      actors.push(child)
      return child
    },
    containers: async ({ cacheDir }) => {
      const all = await docker('ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Label "testdb.folder"}}')
      return all
        .split('\n')
        .flatMap((line) => (line.includes(`${cacheDir}/`) ? [line.slice(0, line.indexOf(' '))] : []))
    },
    async close() {
      for (const child of actors) child.kill('SIGKILL')
      await Promise.all(used.map((options) => module.stopContainer(options)))
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** What the actor has to say first. */
export async function answerOf(child: ChildProcess): Promise<Required<Pick<ActorMessage, 'result'>> & ActorMessage> {
  const [message] = (await once(child, 'message')) as [ActorMessage]
  if (message.kind !== 'ready' || message.result === undefined) throw new Error(message.message)
  return { ...message, result: message.result }
}

export async function kill(...children: ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }),
  )
}

export async function docker(...args: string[]): Promise<string> {
  return (await promisify(execFile)('docker', args)).stdout.trim()
}

/** The folder of the server in its cache. */
export function folderOf({ cacheDir }: { readonly cacheDir: string }): string {
  return path.join(cacheDir, readdirSync(cacheDir).find((name) => name.startsWith('container-')) ?? 'none')
}

/** For the contract that every kind of server has to keep. */
export async function startForContract(): Promise<{ open(): Promise<Server>; stop(): Promise<void> }> {
  const lab = await openContainerLab()
  const options = lab.options()
  await lab.module.startContainer(options)
  return { open: () => lab.module.startContainer(options), stop: () => lab.close() }
}
