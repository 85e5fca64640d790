/** The starter's side of the supervisor: spawns it, gives it its job and hears whether the server is up. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { reached } from '../../steps.ts'
import type { ServerFiles } from './files.ts'
import { type AnyJob, isReply, type Reply } from './job.ts'
import { logTail } from './log-tail.ts'

export interface SuperviseOptions {
  /** Longer than everything that the supervisor waits for. */
  readonly timeoutMs: number
  /** Names of further variables of the environment that it gets. */
  readonly env?: (name: string) => boolean
}

/** The built entry script: beside this code in the bundle; in `dist` when this code runs from its sources. */
export function supervisorFile(): string {
  const fromSource = import.meta.url.endsWith('.ts')
  return fileURLToPath(new URL(fromSource ? '../../../dist/supervisor.mjs' : './supervisor.mjs', import.meta.url))
}

/** A supervisor that has no job yet. When this process dies, it ends. */
export interface IdleSupervisor {
  /** True when it is gone: it was killed, or has waited for too long. */
  readonly ended: boolean
  /** Gives it its job and resolves with its answer. It outlives this process, and does not need it after the answer. */
  work(job: AnyJob): Promise<Reply>
  /** Lets it end, if it has no job. */
  dismiss(): void
}

/** Starts a supervisor and resolves with its answer. */
export async function startSupervisor(job: AnyJob, options: SuperviseOptions): Promise<Reply> {
  return await spawnSupervisor(job.files, options).work(job)
}

/** For who has something else to do before there is a job: a process needs a while until it can take one. */
export function spawnSupervisor(files: ServerFiles, options: SuperviseOptions): IdleSupervisor {
  const log = openSync(files.supervisorLog, 'w', 0o600)
  const child = spawn(process.execPath, [supervisorFile()], {
    detached: true,
    // Not the project's folder, which could then not be unmounted or, on Windows, deleted.
    cwd: process.platform === 'win32' ? os.tmpdir() : '/',
    env: supervisorEnvironment(options.env),
    stdio: ['ignore', log, log, 'ipc'],
    windowsHide: true,
  })
  closeSync(log)
  const whyEnded = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`the supervisor could not be started: ${error.message}`))
    child.once('exit', (code, signal) => resolve(`the supervisor ended (${signal ?? `exit code ${code}`})`))
  })
  const dismiss = (): void => {
    if (child.connected) child.disconnect()
    child.unref()
  }
  return {
    get ended() {
      return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
    },
    async work(job) {
      reached('boot.supervisorSpawned')
      try {
        return await answer(child, whyEnded, job, options.timeoutMs)
      } finally {
        dismiss()
      }
    },
    dismiss,
  }
}

async function answer(child: ChildProcess, whyEnded: Promise<string>, job: AnyJob, timeoutMs: number): Promise<Reply> {
  return await new Promise((resolve) => {
    const fail = async (message: string): Promise<void> => {
      resolve({ kind: 'failed', message, log: await logTail(job.files.supervisorLog), data: false })
    }
    const timer = setTimeout(() => {
      child.kill('SIGTERM')
      void fail(`the supervisor did not answer within ${timeoutMs / 1000} s`)
    }, timeoutMs)
    child.once('message', (message: unknown) => {
      clearTimeout(timer)
      if (isReply(message)) resolve(message)
      else void fail('bug: the supervisor sent something else than a reply')
    })
    void whyEnded.then((why) => {
      clearTimeout(timer)
      void fail(why)
    })
    // An answer that can not be sent shows as the exit of the child.
    child.send(job, () => undefined)
  })
}

/**
 * Only what a plain Node process needs. A test runner's NODE_OPTIONS would load its hooks into the supervisor, PG* would
 * change its connection, and secrets of the user's environment have no business in a process that outlives the run.
 */
function supervisorEnvironment(isWanted: (name: string) => boolean = () => false): Record<string, string> {
  const plain = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'USERPROFILE', 'LD_LIBRARY_PATH']
  const names = [...plain, ...Object.keys(process.env).filter(isWanted)]
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}
