/** Real processes that act on the core and can be killed: `spawnActor('hold', …)` runs `actor-scripts.ts`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { builtFile } from './built.ts'
import { within } from './wait.ts'

export interface Actor {
  readonly process: ChildProcess
  /** Waits for the message of that name and gives its value. */
  said<T = unknown>(name: string): Promise<T>
  tell(name: string): void
  /** Ends it like an out-of-memory killer does; resolves when the process is gone. */
  kill(): Promise<void>
  /** Its exit code, and what it wrote to stderr. */
  ended(): Promise<{ readonly code: number | null; readonly stderr: string }>
}

export function spawnActor(script: string, input: unknown): Actor {
  const child = spawn(process.execPath, [builtFile('actor-scripts'), script, JSON.stringify(input)], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += String(chunk)
  })
  const exit = once(child, 'exit')
  const heard = new Map<string, unknown>()
  child.on('message', (message) => {
    const { name, value } = message as { name: string; value: unknown }
    heard.set(name, value)
    child.emit(`said:${name}`)
  })
  return {
    process: child,
    async said<T>(name: string) {
      const what = `the actor "${script}" says "${name}"`
      if (!heard.has(name)) {
        const died = exit.then(([code]) => {
          if (!heard.has(name)) throw new Error(`${what}: it ended with ${code}\n${stderr}`)
        })
        await within(what, Promise.race([once(child, `said:${name}`), died]), 30_000)
      }
      return heard.get(name) as T
    },
    tell: (name) => void child.send(name),
    async kill() {
      child.kill('SIGKILL')
      await exit
    },
    async ended() {
      const [code] = (await within(`the actor "${script}" ends`, exit, 30_000)) as [number | null]
      return { code, stderr }
    },
  }
}
