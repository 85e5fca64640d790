/** Looks at the container of a project, stops it for `testdb down`, and keeps it for `testdb up`. */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { withSession } from '../../postgres/index.ts'
import type { CacheOptions } from '../embedded/locations.ts'
import { cacheError } from '../owned/folders.ts'
import { probeServer, type Seen, SUPERVISOR_CHANNEL } from '../owned/probe.ts'
import { waitForStartLock } from '../owned/start-lock.ts'
import type { Server } from '../server.ts'
import { inspect, remove } from './container.ts'
import { openEngine } from './engine.ts'
import { type ContainerFiles, containerFiles, DEFAULT_IMAGE } from './files.ts'
import { findTestcontainers } from './package.ts'
import { type ContainerOptions, startContainer } from './start.ts'
import { adminTarget, type ContainerState, identityOf, readState } from './state.ts'

export interface FoundContainer extends Seen {
  readonly state: ContainerState
}

export interface ContainerStatus {
  readonly image: string
  /** True while `testdb up` keeps it. */
  readonly kept: boolean
  readonly log: string
  /** Undefined when it does not run, or is not known in this cache folder. */
  readonly found: FoundContainer | undefined
}

export type ContainerChoice = CacheOptions & { readonly image?: string | undefined }

/** How long the supervisor may take to remove the container (ms). */
const SUPERVISOR_TIMEOUT_MS = 20_000

/** Starts nothing, and does not ask the engine: a container that the state file does not know is found by the next start. */
export async function containerStatus(options: ContainerChoice): Promise<ContainerStatus> {
  const files = await containerFiles(options, options.image ?? DEFAULT_IMAGE)
  return { image: files.image, kept: existsSync(files.keep), log: files.serverLog, found: await find(files) }
}

/** Starts or attaches, and keeps the container running without sessions until `stopContainer`. */
export async function keepContainer(options: ContainerOptions): Promise<Server> {
  // Attached first: the idle time has just begun again.
  const server = await startContainer(options)
  const files = await containerFiles(options, options.image ?? DEFAULT_IMAGE)
  try {
    await writeFile(files.keep, '', { mode: 0o600 })
  } catch (error) {
    throw cacheError(error, files.folder)
  }
  return server
}

/** Removes the container and waits until it is gone; tells whether one was there. Throws TESTDB_CONTAINER_UNAVAILABLE. */
export async function stopContainer(options: ContainerChoice): Promise<boolean> {
  const engine = await openEngine(findTestcontainers(options.projectRoot))
  const files = await containerFiles(options, options.image ?? DEFAULT_IMAGE)
  const turn = await waitForStartLock(files, async () => undefined)
  if (!('lock' in turn)) throw new Error('bug: nothing else was asked for')
  try {
    await rm(files.keep, { force: true })
    const told = await tellSupervisor(files, async () => (await inspect(engine, files.name)) === undefined)
    const left = await inspect(engine, files.name)
    if (left !== undefined) await remove(engine, left.Id)
    await rm(files.state, { force: true })
    return told || left !== undefined
  } finally {
    await turn.lock.release()
  }
}

/** True when a supervisor was there and has been told. */
async function tellSupervisor(files: ContainerFiles, isGone: () => Promise<boolean>): Promise<boolean> {
  const found = await find(files)
  if (found?.supervisorPid === undefined) return false
  await withSession(adminTarget(found.state), { applicationName: 'testdb down' }, (session) =>
    session.query('select pg_notify($1, $2)', [SUPERVISOR_CHANNEL, 'stop']),
  )
  const begun = performance.now()
  while (!(await isGone()) && performance.now() - begun < SUPERVISOR_TIMEOUT_MS) await delay(50)
  return true
}

async function find(files: ContainerFiles): Promise<FoundContainer | undefined> {
  const state = await readState(files.state).catch(() => undefined)
  const found = state && (await probeServer(identityOf(state))).found
  return state && found && { ...found, state }
}
