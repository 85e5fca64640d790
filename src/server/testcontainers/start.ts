/**
 * A server in a container: one for all processes of a workspace and image, elected, attached and stopped like the embedded one
 * (docs/design/containers.md). Only the supervisor talks to the container engine; who attaches reads the state file.
 */
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { superuserOf } from '../capabilities.ts'
import type { CacheOptions } from '../embedded/locations.ts'
import { cacheError } from '../owned/folders.ts'
import type { Failed } from '../owned/job.ts'
import { type ProbeOptions, probeServer, type Seen } from '../owned/probe.ts'
import { reach } from '../owned/reach.ts'
import type { StartLock } from '../owned/start-lock.ts'
import { touchState } from '../owned/state-file.ts'
import { startSupervisor } from '../owned/supervise.ts'
import type { Server } from '../server.ts'
import { type ContainerFiles, containerFiles, DEFAULT_IMAGE } from './files.ts'
import type { ContainerJob } from './job.ts'
import { findTestcontainers } from './package.ts'
import { adminTarget, type ContainerState, identityOf, readState } from './state.ts'

export interface ContainerOptions extends CacheOptions {
  /** Image with its tag. @default 'postgres:18' */
  readonly image?: string | undefined
  /** Connections that the server should take at least. A running container is taken as it is. @default 1500 */
  readonly maxConnections?: number | undefined
  /** Milliseconds that the container outlives its last session; the longest of all who attach counts. */
  readonly idleMs: number
  /** As for the embedded server. @default false */
  readonly stayConnected?: boolean
}

interface Outcome extends Seen {
  readonly state: ContainerState
  readonly started: boolean
}

/** As for the embedded server. */
const MAX_CONNECTIONS = 1_500
/** Pulling an image over a slow line is most of it. */
const START_TIMEOUT_MS = 10 * 60_000
/** Where the engine is, and how it may be reached. */
const ENGINE_VARIABLES =
  /^(?:DOCKER_.*|TESTCONTAINERS_.*|CONTAINER_.*|XDG_RUNTIME_DIR|SSH_AUTH_SOCK|(?:HTTPS?|NO)_PROXY)$/i

/**
 * Attaches to the container, or starts it.
 *
 * @throws TESTDB_PEER_MISSING, TESTDB_CONTAINER_UNAVAILABLE, TESTDB_SERVER_START_FAILED, TESTDB_CACHE_UNWRITABLE
 */
export async function startContainer(options: ContainerOptions): Promise<Server> {
  const begun = performance.now()
  const { idleMs, image = DEFAULT_IMAGE, stayConnected = false } = options
  const testcontainers = findTestcontainers(options.projectRoot)
  const maxConnections = Math.max(MAX_CONNECTIONS, options.maxConnections ?? 0)
  const files = await containerFiles(options, image)
  const job: ContainerJob = { kind: 'container', files, idleMs, testcontainers, maxConnections }
  const past = { failed: 0 }
  try {
    const outcome = await reach({
      files,
      attach: () => attach(files, { idleMs, stayConnected }),
      start: (lock) => start(job, lock, past),
      waitMs: START_TIMEOUT_MS,
    })
    const server = describeServer(outcome, files)
    const durationMs = performance.now() - begun
    publish('server.started', { summary: server.summary, durationMs, attached: !outcome.started })
    return server
  } catch (error) {
    throw cacheError(error, files.folder)
  }
}

/** The touch comes first: a supervisor that is about to stop the container sees it, or it fails because the file is gone. */
async function attach(files: ContainerFiles, options: ProbeOptions): Promise<Outcome | undefined> {
  const state = await readState(files.state)
  if (state === undefined || !(await touchState(files.state))) return undefined
  const { found } = await probeServer(identityOf(state), options)
  if (found?.supervisorPid !== undefined) return { ...found, state, started: false }
  await found?.session?.close()
  return undefined
}

async function start(job: ContainerJob, lock: StartLock, past: { failed: number }): Promise<Outcome | undefined> {
  const { files } = job
  publish('server.starting', {
    summary: `starting a container of ${files.image}, which is pulled when it is not there`,
  })
  await lock.assertHeld()
  const reply = await startSupervisor(job, {
    timeoutMs: START_TIMEOUT_MS,
    env: (name) => ENGINE_VARIABLES.test(name),
  })
  if (reply.kind === 'failed') {
    past.failed += 1
    // A supervisor that was killed: the next one finds what is left of it.
    if (reply.error === undefined && past.failed < 2) return undefined
    throw startError(reply, files)
  }
  const found = await attach(files, { idleMs: job.idleMs })
  return found && { ...found, started: reply.kind === 'ready' && reply.started === true }
}

function startError({ message, log, error }: Failed, files: ContainerFiles): TestDbError {
  const details = { image: files.image, log: files.serverLog, supervisorLog: files.supervisorLog }
  if (error !== undefined) return new TestDbError(error.code, message, { details, fixes: error.fixes })
  const lines = log.map((line) => `\n  | ${line}`).join('')
  return new TestDbError('TESTDB_SERVER_START_FAILED', `${message}${lines}\nThe log: ${files.supervisorLog}`, {
    details,
  })
}

function describeServer({ state, major, version, session }: Outcome, { image }: ContainerFiles): Server {
  const { host, port } = state
  return {
    kind: 'testcontainers',
    admin: adminTarget(state),
    address: { host, port, ssl: false },
    capabilities: superuserOf(adminTarget(state).user),
    major,
    summary: `PostgreSQL ${version} in a container of ${image}, ${host}:${port}`,
    ours: true,
    ...(session && { session }),
    // Nothing is held: the supervisor removes the container when nobody is connected any more.
    release: () => Promise.resolve(),
  }
}
