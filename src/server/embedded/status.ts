/** Looks at the embedded servers of a project; starts and changes nothing. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { chooseAccount } from './account.ts'
import { type Found, probe } from './attach.ts'
import { readCluster } from './cluster.ts'
import { type CacheOptions, existingLayouts, type Layout } from './locations.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { isPostmaster } from './processes.ts'
import { storageOf } from './start.ts'
import { readState, type ServerState } from './state-file.ts'

/** One embedded server, by its Postgres major. */
export interface EmbeddedStatus {
  readonly major: number
  readonly running: boolean
  /** True while `testdb up` keeps it. */
  readonly kept: boolean
  readonly cacheDir: string
  readonly log: string
  /** The rest is known when it runs. */
  readonly version?: string
  readonly pid?: number
  readonly port?: number
  readonly dataDir?: string
  readonly storage?: 'memory' | 'disk'
  /** Undefined when the supervisor is dead; the next start gives the server a new one. */
  readonly supervisorPid?: number | undefined
}

/** The servers that this project has or had, one for each Postgres major. */
export async function embeddedStatus(options: CacheOptions): Promise<readonly EmbeddedStatus[]> {
  const layouts = await existingLayouts(options, chooseAccount())
  return await Promise.all(layouts.map(async (layout) => describe(layout, await findServer(layout))))
}

/** The server of a layout that accepts connections, also when its state file is lost. */
export async function findServer(layout: Layout): Promise<Found | undefined> {
  // A state that we may not read is another user's server.
  const state = await readState(layout.state).catch(() => undefined)
  const known = state && (await probe(state)).found
  if (known !== undefined) return known
  for (const running of await runningPostmasters(layout)) {
    const found = running.state && (await probe(running.state)).found
    if (found !== undefined) return found
  }
  return undefined
}

/** Living postmasters on the data folders of a layout, whether or not they accept connections. */
export async function runningPostmasters(
  layout: Layout,
): Promise<readonly { pid: number; dataDir: string; state: ServerState | undefined }[]> {
  const running = []
  for (const folder of [layout.memoryCluster, layout.diskCluster]) {
    const dataDir = path.join(folder, 'data')
    const file = await readPostmasterFile(dataDir)
    if (file === undefined || !(await isPostmaster(file.pid, dataDir))) continue
    const cluster = await readCluster(folder)
    const { pid, startedAt, port, socketDir = null } = file
    const state = cluster && {
      format: 1 as const,
      port,
      socketDir,
      dataDir,
      password: cluster.password,
      pid,
      startedAt,
    }
    running.push({ pid, dataDir, state })
  }
  return running
}

function describe(layout: Layout, found: Found | undefined): EmbeddedStatus {
  const { major, cacheDir, serverLog: log } = layout
  const base = { major, running: found !== undefined, kept: existsSync(layout.keep), cacheDir, log }
  if (found === undefined) return base
  const { state, version, supervisorPid } = found
  const { pid, port, dataDir } = state
  return { ...base, version, pid, port, dataDir, storage: storageOf(state, layout), supervisorPid }
}
