/** Finds a server of ours that runs, when nothing but its data folder is known; ends one that can not be used. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import type { StartLock } from '../owned/start-lock.ts'
import { type Found, type Probe, probe } from './attach.ts'
import { type Cluster, discardCluster, readCluster } from './cluster.ts'
import { type PostmasterFile, readPostmasterFile } from './postmaster-file.ts'
import { endPostmaster, isPostmaster } from './processes.ts'

/** After this a server that does not answer counts as stuck (ms). */
const ACCEPT_TIMEOUT_MS = 15_000
/** Crash recovery of a large cluster takes its time. */
const RECOVERY_TIMEOUT_MS = 60_000

const FULL = {
  fixes: [
    'Wait for other runs to end, or use fewer workers or smaller pools.',
    'Run `npx testdb down` to end the server with everything on it.',
    'Run `npx testdb status` to see who is connected.',
  ],
}

export interface FindInput {
  readonly bin: string
  readonly lock: StartLock
  readonly idleMs: number
  /** What has gone wrong in this start so far; the same twice is no misfortune. */
  readonly past: Past
}

export interface Past {
  /** Servers that did not answer and were ended. */
  ended: number
  /** Starts that failed for a reason that another one may not meet. */
  failed: number
}

/** Tells whether a living postmaster has the data folder, by the file that it has put there. */
export async function hasPostmaster(dataDir: string): Promise<boolean> {
  const file = await readPostmasterFile(dataDir)
  return file !== undefined && (await isPostmaster(file.pid, dataDir))
}

/**
 * The server of that cluster, if one runs and accepts connections. One that never does is ended, and so is one that refuses
 * our own login: nobody can get in any more, and its data is given up. One that is merely full is left alone.
 */
export async function findRunning(
  folder: string,
  input: FindInput,
): Promise<{ found: Found; cluster: Cluster } | undefined> {
  const dataDir = path.join(folder, 'data')
  const first = await readPostmasterFile(dataDir)
  if (first === undefined || !(await isPostmaster(first.pid, dataDir))) return undefined
  const cluster = await readCluster(folder)
  const since = performance.now()
  let last: Exclude<Probe, { found: Found }> | undefined
  while (cluster !== undefined && (await isPostmaster(first.pid, dataDir))) {
    const file = await readPostmasterFile(dataDir)
    if (file?.status === 'ready') {
      const result = await probeFile(file, cluster, input.idleMs)
      if (result.found !== undefined) return { found: result.found, cluster }
      last = result
    }
    if (last?.refusal === 'locked out') break
    const recovers = file?.status === 'starting' || last?.refusal === 'starting'
    if (performance.now() - since > (recovers ? RECOVERY_TIMEOUT_MS : ACCEPT_TIMEOUT_MS)) break
    await delay(20)
  }
  if (!(await isPostmaster(first.pid, dataDir))) return undefined
  const reason = last?.reason ?? (cluster === undefined ? 'its cluster.json is lost' : 'it does not answer')
  // Other people's tests are running on it: it is the last thing to be ended.
  if (last?.refusal === 'full') {
    throw new TestDbError('TESTDB_SERVER_UNREACHABLE', `the embedded server is full: ${reason}`, FULL)
  }
  await input.lock.assertHeld()
  input.past.ended += 1
  if (input.past.ended > 1) {
    const what = `the embedded server was started again and still does not let testdb in: ${reason}`
    throw new TestDbError('TESTDB_SERVER_START_FAILED', what, { details: { dataDir, reason } })
  }
  const lockedOut = last?.refusal === 'locked out'
  const consequence = lockedOut ? 'it is ended and its data is replaced' : 'it is ended and started again'
  publish('warning.raised', {
    message: `the embedded server of ${folder} does not let testdb in (${reason}): ${consequence}`,
  })
  await endPostmaster(first.pid, dataDir, input.bin)
  if (lockedOut) await discardCluster(folder)
  return undefined
}

async function probeFile(file: PostmasterFile, cluster: Cluster, idleMs: number): Promise<Probe> {
  const { pid, startedAt, port, socketDir = null } = file
  const { dataDir, password } = cluster
  return await probe({ format: 1, port, socketDir, dataDir, password, pid, startedAt }, { idleMs })
}
