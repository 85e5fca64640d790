/** Real processes for the crash table: each starts a run with the real code, and says how it ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'tsdown'
import type { TestDbConfig } from '../../src/config/config.ts'
import { within } from '../helpers/wait.ts'

const root = resolve(import.meta.dirname, '../..')

export interface ActorInput {
  /** The project's folder. */
  readonly root: string
  readonly options: TestDbConfig
  /** True: the process has a handler, as the processes of a runner have. */
  readonly handleSigterm: boolean
}

export type ActorMessage =
  | { readonly name: 'started' | 'closed' }
  /** The code of the error that `startRun` threw. */
  | { readonly name: 'failed'; readonly code: string }

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Everything that it said, in order; of an error its code. */
  readonly said: readonly string[]
  readonly stderr: string
}

export interface Actor extends AsyncDisposable {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
  ended(): Promise<Ending>
}

export interface Actors extends Disposable {
  /** A process that starts a run in the place and ends it at once; `env` says where it is to be stopped. */
  spawn(
    place: { readonly project: { readonly root: string }; readonly options: TestDbConfig },
    how?: { readonly handleSigterm: boolean },
    env?: Readonly<Record<string, string>>,
  ): Actor
}

/** Bundles the script once: a process then starts in a fifth of a second instead of one and a half. */
export async function prepareActors(): Promise<Actors> {
  // Below the package, so that its dependencies are found.
  const folder = join(root, 'node_modules', '.cache', 'testdb-tests', `crash-${process.pid}`)
  await build({
    config: false,
    cwd: root,
    entry: { actor: join(import.meta.dirname, 'actor-main.ts') },
    ...{ format: 'esm', platform: 'node', outDir: folder, clean: true, dts: false, logLevel: 'silent' },
  })
  return {
    spawn: ({ project, options }, how = { handleSigterm: false }, env = {}) =>
      spawnActor(join(folder, 'actor.mjs'), { root: project.root, options, ...how }, env),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function spawnActor(file: string, input: ActorInput, env: Readonly<Record<string, string>>): Actor {
  const child = spawn(process.execPath, [file, JSON.stringify(input)], {
    ...{ cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] },
  })
  const said: string[] = []
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += String(chunk)
  })
  child.on('message', (message: ActorMessage) => {
    said.push(message.name === 'failed' ? message.code : message.name)
  })
  // "close" comes after the last message and the last line.
  const end = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    async ended() {
      const [code, signal] = await within(`process ${child.pid} ends`, end, 30_000)
      return { code, signal, said, stderr }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await end
    },
  }
}
