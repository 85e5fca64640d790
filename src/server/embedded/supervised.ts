/** The embedded server as its supervisor sees it: a postmaster, which is its child or which it has adopted. */
import type { ChildProcess } from 'node:child_process'
import type { Failed, Reply } from '../owned/job.ts'
import { refusalOf } from '../owned/probe.ts'
import { writeState } from '../owned/state-file.ts'
import type { Supervised } from '../owned/supervised.ts'
import { heartbeat } from './elsewhere.ts'
import type { Job } from './job.ts'
import { StartFailure, startPostmaster } from './postmaster.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { endPostmaster, isPostmaster } from './processes.ts'
import { removeSocketFolder } from './socket-folder.ts'
import { adminTarget, removeState, type ServerState } from './state-file.ts'

/** Starts Postgres as a child of this process, or takes the one that runs. */
export async function bringUpEmbedded(job: Job, stopping: AbortSignal): Promise<Supervised> {
  if (job.task.kind === 'adopt') return supervised(job, job.task.state, false)
  let child: ChildProcess | undefined
  const abort = (): boolean => child?.kill('SIGINT') ?? false
  stopping.addEventListener('abort', abort)
  try {
    const { state } = await startPostmaster(job, (spawned) => {
      child = spawned
    })
    return supervised(job, state, true)
  } catch (error) {
    await removeSocketFolder(job.task.socketDir)
    throw error
  } finally {
    stopping.removeEventListener('abort', abort)
  }
}

export function embeddedFailure(error: unknown, message: string): Reply {
  const failed = (data: boolean, log: readonly string[] = []): Failed => ({ kind: 'failed', message, log, data })
  if (!(error instanceof StartFailure)) return failed(refusalOf(error) === 'locked out')
  return error.reason === 'busy' ? { kind: 'busy' } : failed(error.reason === 'data', error.log)
}

function supervised({ files, cluster, programs }: Job, state: ServerState, isNew: boolean): Supervised {
  const { pid, dataDir, socketDir } = state
  return {
    files,
    admin: adminTarget(state),
    isNew,
    isAlive: () => isPostmaster(pid, dataDir),
    // Deleted, and perhaps made again by a start that did not find us: then the file there has another pid.
    isForgotten: async () => (await readPostmasterFile(dataDir))?.pid !== pid,
    beat: () => heartbeat(cluster),
    writeState: () => writeState(files.state, state),
    removeState: () => removeState(files.state, state),
    stop: () => endPostmaster(pid, dataDir, programs.bin),
    cleanUp: () => removeSocketFolder(socketDir),
  }
}
