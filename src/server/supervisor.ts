/**
 * Entry script of the detached process that owns a server of ours. It is started by `owned/supervise.ts`, which sends one job
 * over IPC, and lives as long as the server. Its life:
 *
 *   waiting for a job ─▶ starting (Postgres is its child, or a container) or adopting (only watches what runs)
 *     ─▶ supervising: holds the advisory lock, counts client sessions
 *          ─▶ stopping (idle, told to, or a signal) ─▶ exit
 *          ─▶ the server is gone ─▶ exit
 *          ─▶ another supervisor has the lock ─▶ exit, leaving the server alone
 *
 * If this process is killed, the server lives on without it: the next start sees that nobody holds the lock and starts
 * another supervisor, which adopts the server. The starter may die at any time; this process does not need it.
 */
import { once } from 'node:events'
import { messageOf } from '../errors.ts'
import { reached } from '../steps.ts'
import type { Job as EmbeddedJob } from './embedded/job.ts'
import { bringUpEmbedded, embeddedFailure } from './embedded/supervised.ts'
import type { Reply } from './owned/job.ts'
import type { Supervised } from './owned/supervised.ts'
import { Supervision } from './owned/supervision.ts'
import { note } from './owned/supervisor-log.ts'
import { bringUpContainer, containerFailure } from './testcontainers/bring-up.ts'
import type { ContainerJob } from './testcontainers/job.ts'

type Job = EmbeddedJob | ContainerJob

/** A starter that stands still between spawning and sending leaves us without a job; one whose `initdb` takes longer starts another. */
const JOB_TIMEOUT_MS = 10_000

/** Aborts on SIGTERM and SIGINT: the machine shuts down, or somebody wants the server gone. */
const stopping = new AbortController()

async function receiveJob(): Promise<Job> {
  const left = new AbortController()
  const leave = (): void => left.abort(new Error('the starter has gone without a job'))
  if (process.connected) process.once('disconnect', leave)
  else leave()
  const timer = setTimeout(() => left.abort(new Error('the starter has sent no job')), JOB_TIMEOUT_MS)
  const received = once(process, 'message', { signal: left.signal }).catch(() => Promise.reject(left.signal.reason))
  const [message] = (await received) as [unknown]
  clearTimeout(timer)
  if (typeof message !== 'object' || message === null || !('kind' in message) || !('files' in message)) {
    throw new Error('bug: the first message is the job')
  }
  return message as Job
}

function reply(message: Reply): void {
  // The starter may have died meanwhile; then the server stays until it has been idle for long enough.
  if (process.connected) process.send?.(message, () => process.connected && process.disconnect())
}

async function bringUp(job: Job): Promise<Supervised> {
  return job.kind === 'embedded'
    ? await bringUpEmbedded(job, stopping.signal)
    : await bringUpContainer(job, stopping.signal)
}

function failureOf(error: unknown, { kind }: Job): Reply {
  // Whatever went wrong then was done by us.
  if (stopping.signal.aborted)
    return { kind: 'failed', message: 'the supervisor was told to end', log: [], data: false }
  return kind === 'embedded' ? embeddedFailure(error, messageOf(error)) : containerFailure(error)
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
  let server: Supervised | undefined
  try {
    server = await bringUp(job)
    reached('supervisor.postmasterUp')
    supervision = await Supervision.begin(server, job.idleMs, stopping.signal)
    // Only now can others find it: whoever attaches sees a server that has a supervisor.
    // The state file of a container may be lost while its supervisor lives.
    if (supervision !== undefined || job.kind === 'container') await server.writeState()
    reached('supervisor.supervising')
    reply({ kind: 'ready', started: server.isNew })
  } catch (error) {
    if (server?.isNew) {
      // Our own, that nobody could find or would stop.
      await server.stop()
      await server.cleanUp()
    }
    reply(failureOf(error, job))
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
