/** Real processes for the crash table: each starts a run with the real code, and says how it ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestDbConfig } from '../../src/config/config.ts'
import { builtFile } from '../helpers/built.ts'
import { within } from '../helpers/wait.ts'

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

/** A process that starts a run in the place and ends it at once; `env` says where it is to be stopped. */
export function spawnActor(
  place: { readonly project: { readonly root: string }; readonly options: TestDbConfig },
  how: { readonly handleSigterm: boolean } = { handleSigterm: false },
  env: Readonly<Record<string, string>> = {},
): Actor {
  const input: ActorInput = { root: place.project.root, options: place.options, ...how }
  const child = spawn(process.execPath, [builtFile('actor-main'), JSON.stringify(input)], {
    ...{ env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] },
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
