/**
 * Stops a real process exactly at a step of a protocol (src/steps.ts), so that a test can kill it there, cut its connection or
 * let it go on:
 *
 *   await using stop = await stopAt('build.sealing')
 *   const child = spawn(process.execPath, [...], { env: { ...process.env, ...stop.env } })
 *   const pid = await stop.reached()
 *   process.kill(pid, 'SIGKILL')   // or: await stop.resume()
 *
 * The process is blocked as a whole, event loop included: a signal for which it has a handler is handled after `resume()`.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
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
  /** Lets it go on, if it still is there. */
  resume(): Promise<void>
}

export const stopHook = join(import.meta.dirname, 'stop-hook.mjs')

/** A process that was just interrupted by a signal is not at its pipe for a moment (ms). */
const RESUME_TIMEOUT_MS = 10_000

/** `skip` lets that many passes of each process go by. */
export async function stopAt(step: Step, { skip = 0 }: { readonly skip?: number } = {}): Promise<StopPoint> {
  const folder = await mkdtemp(join(tmpdir(), 'testdb-stop-'))
  await chmod(folder, 0o777)
  execFileSync('mkfifo', ['-m', '666', join(folder, 'go')])
  const pidFile = join(folder, 'pid')
  let resumed = false
  const resume = async (): Promise<void> => {
    if (resumed || !existsSync(pidFile)) return
    resumed = true
    const pid = Number(await readFile(pidFile, 'utf8'))
    const deadline = Date.now() + RESUME_TIMEOUT_MS
    while (!goOn(join(folder, 'go'))) {
      if (!isAlive(pid)) return
      if (Date.now() > deadline) throw new Error(`process ${pid} does not go on from ${step}`)
      await delay(2)
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
      while (!existsSync(pidFile)) {
        if (Date.now() > deadline) throw new Error(`no process came to ${step} within ${timeoutMs} ms`)
        await delay(5)
      }
      return Number(await readFile(pidFile, 'utf8'))
    },
    resume,
    async [Symbol.asyncDispose]() {
      await resume()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** False while nobody waits at the other end: then the process is not there yet, not there for a moment, or dead. */
function goOn(pipe: string): boolean {
  try {
    const end = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
    writeSync(end, '.')
    closeSync(end)
    return true
  } catch (error) {
    if (['ENXIO', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/** A zombie does not go on either. */
function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}
