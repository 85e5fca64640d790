/**
 * Entry script of the detached process that owns the postmaster. It is started by `supervise.ts`, which sends one `Job` over
 * IPC, and lives as long as the server. Its life:
 *
 *   waiting for a job ─▶ starting (Postgres is its child) or adopting (only watches a pid)
 *     ─▶ supervising: holds the advisory lock, counts client sessions
 *          ─▶ stopping (idle, told to, or a signal) ─▶ exit
 *          ─▶ the postmaster is gone ─▶ exit
 *          ─▶ another supervisor has the lock ─▶ exit, leaving the server alone
 *
 * If this process is killed, the server lives on without it: the next start sees that nobody holds the lock and starts
 * another supervisor, which adopts the server. The starter may die at any time; this process does not need it.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { messageOf } from '../../errors.ts'
import { reached } from '../../steps.ts'
import { refusalOf } from './attach.ts'
import { isJob, type Job, type Reply } from './job.ts'
import { StartFailure, startPostmaster } from './postmaster.ts'
import { endPostmaster } from './processes.ts'
import { removeSocketFolder } from './socket-folder.ts'
import { type ServerState, writeState } from './state-file.ts'
import { Supervision } from './supervision.ts'
import { note } from './supervisor-log.ts'

/** A starter that has been killed between spawning and sending leaves us without a job. */
const JOB_TIMEOUT_MS = 10_000

/** Aborts on SIGTERM and SIGINT: the machine shuts down, or somebody wants the server gone. */
const stopping = new AbortController()

async function receiveJob(): Promise<Job> {
  const [message] = (await once(process, 'message', { signal: AbortSignal.timeout(JOB_TIMEOUT_MS) })) as [unknown]
  if (!isJob(message)) throw new Error('bug: the first message is the job')
  return message
}

function reply(message: Reply): void {
  // The starter may have died meanwhile; then the server stays until it has been idle for long enough.
  if (process.connected) process.send?.(message, () => process.connected && process.disconnect())
}

async function bringUp(job: Job): Promise<ServerState> {
  if (job.task.kind === 'adopt') return job.task.state
  let child: ChildProcess | undefined
  const abort = (): boolean => child?.kill('SIGINT') ?? false
  stopping.signal.addEventListener('abort', abort)
  try {
    const { state } = await startPostmaster(job, (spawned) => {
      child = spawned
    })
    return state
  } finally {
    stopping.signal.removeEventListener('abort', abort)
  }
}

function failureOf(error: unknown): Reply {
  const message = messageOf(error)
  // Whatever went wrong then was done by us.
  if (stopping.signal.aborted)
    return { kind: 'failed', message: 'the supervisor was told to end', log: [], data: false }
  if (!(error instanceof StartFailure)) {
    return { kind: 'failed', message, log: [], data: refusalOf(error) === 'locked out' }
  }
  return error.reason === 'busy'
    ? { kind: 'busy' }
    : { kind: 'failed', message, log: error.log, data: error.reason === 'data' }
}

async function main(): Promise<void> {
  process.on('SIGTERM', () => stopping.abort())
  process.on('SIGINT', () => stopping.abort())
  // Closing the terminal is no reason to stop.
  process.on('SIGHUP', () => undefined)
  const job = await receiveJob().catch((error: unknown) => {
    note(messageOf(error))
    // Nobody waits for a reply: a starter that only stood still sees our end, and looks again.
    return process.exit(1)
  })
  reached('supervisor.working')
  let supervision: Supervision | undefined
  let state: ServerState | undefined
  try {
    state = await bringUp(job)
    reached('supervisor.postmasterUp')
    supervision = await Supervision.begin(job, state, stopping.signal)
    // Only now can others find it: whoever attaches sees a server that has a supervisor.
    if (supervision !== undefined) await writeState(job.layout.state, state)
    reached('supervisor.supervising')
    reply({ kind: 'ready' })
  } catch (error) {
    if (job.task.kind === 'start') {
      // Our own child, that nobody could find or would stop.
      if (state !== undefined) await endPostmaster(state.pid, state.dataDir, job.programs.bin)
      await removeSocketFolder(job.task.socketDir)
    }
    reply(failureOf(error))
    throw error
  }
  note(supervision === undefined ? 'another supervisor is in charge' : 'supervising')
  if (supervision !== undefined) note(await supervision.untilEnd())
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    note(error instanceof Error ? (error.stack ?? error.message) : String(error))
    // Lets the reply leave first.
    if (process.connected) process.once('disconnect', () => process.exit(1))
    else process.exit(1)
  },
)
