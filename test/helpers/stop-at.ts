/**
 * Stops a real process exactly at a step of a protocol (src/steps.ts), so that a test can kill it there, cut its connection or
 * let it go on:
 *
 *   await using stop = await stopAt('build.sealing')
 *   const child = spawn(process.execPath, [...], { env: { ...process.env, ...stop.env } })
 *   const pid = await stop.reached()
 *   process.kill(pid, 'SIGKILL')   // or: stop.resume()
 *
 * The process is blocked as a whole, event loop included: a signal for which it has a handler is handled after `resume()`.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, writeSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Step } from '../../src/steps.ts'

export interface StopPoint extends AsyncDisposable {
  /** For the process to stop and its children; loads the hook by NODE_OPTIONS. */
  readonly env: Readonly<Record<string, string>>
  /** Resolves with the pid of the process that stands at the step. */
  reached(timeoutMs?: number): Promise<number>
  /** Lets it go on. */
  resume(): void
}

export const stopHook = join(import.meta.dirname, 'stop-hook.mjs')

/** `skip` lets that many passes of each process go by. */
export async function stopAt(step: Step, { skip = 0 }: { readonly skip?: number } = {}): Promise<StopPoint> {
  const folder = await mkdtemp(join(tmpdir(), 'testdb-stop-'))
  await chmod(folder, 0o777)
  execFileSync('mkfifo', ['-m', '666', join(folder, 'go')])
  let resumed = false
  const resume = (): void => {
    if (resumed) return
    resumed = true
    try {
      // Fails at once when nobody stands there any more, because the process was killed.
      const pipe = openSync(join(folder, 'go'), constants.O_WRONLY | constants.O_NONBLOCK)
      writeSync(pipe, '.')
      closeSync(pipe)
    } catch (error) {
      if (!['ENXIO', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return {
    env: {
      NODE_OPTIONS: `--import ${pathToFileURL(stopHook)}`,
      TESTDB_STOP_AT: step,
      TESTDB_STOP_FOLDER: folder,
      TESTDB_STOP_SKIP: String(skip),
    },
    async reached(timeoutMs = 30_000) {
      const deadline = Date.now() + timeoutMs
      while (!existsSync(join(folder, 'pid'))) {
        if (Date.now() > deadline) throw new Error(`no process came to ${step} within ${timeoutMs} ms`)
        await delay(5)
      }
      return Number(await readFile(join(folder, 'pid'), 'utf8'))
    },
    resume,
    async [Symbol.asyncDispose]() {
      resume()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
