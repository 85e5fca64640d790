/**
 * The embedded Postgres server: real binaries from the user's project, one server per workspace and Postgres major.
 *
 * The fast path takes no lock: read the state file, touch it, connect, check that the server is the one. Whatever is not as
 * expected leads to the slow path (start.ts), which does the same under the start lock and starts what is missing.
 * A server that runs without a supervisor is not as expected either.
 *
 * Nothing here stays connected, unless the caller asks for the session. Those of runs and workers keep the server alive; the
 * supervisor stops it when there has been none, and nobody has attached, for the idle time (supervision.ts draws how these can
 * not miss each other).
 */
import { publish } from '../../events.ts'
import { superuserOf } from '../capabilities.ts'
import { cacheError, makeOwnFolder } from '../owned/folders.ts'
import type { ProbeOptions } from '../owned/probe.ts'
import { reach } from '../owned/reach.ts'
import { touchState } from '../owned/state-file.ts'
import type { Server } from '../server.ts'
import { chooseAccount } from './account.ts'
import { type Found, probe } from './attach.ts'
import { findBinaries } from './binaries.ts'
import { type CacheOptions, type Layout, layoutOf, passThrough, resolveCache } from './locations.ts'
import { attachOrStart, type Outcome, placeOf } from './start.ts'
import { adminTarget, readState } from './state-file.ts'
import type { Storage } from './storage.ts'

export interface EmbeddedOptions extends CacheOptions {
  /** Where the data lies. A running server is taken as it is. @default 'auto' */
  readonly storage?: Storage
  /** TCP port on loopback; another one is taken when it is not free. @default a free one */
  readonly port?: number | undefined
  /** Connections that the server should take at least. A running server is taken as it is. @default 1500 */
  readonly maxConnections?: number | undefined
  /** Milliseconds that the server outlives its last session; the longest of all who attach counts. */
  readonly idleMs: number
  /** True where the caller needs a session: it gets the one that has attached, if there is one. @default false */
  readonly stayConnected?: boolean
}

/** Enough for several runs with full pools; see the settings for what one costs. */
const MAX_CONNECTIONS = 1_500

/**
 * Attaches to the embedded server, or starts it.
 *
 * @throws TESTDB_PEER_MISSING, TESTDB_PLATFORM_UNSUPPORTED, TESTDB_CACHE_UNWRITABLE, TESTDB_SERVER_START_FAILED
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Server> {
  const begun = performance.now()
  const binaries = findBinaries(options.projectRoot)
  const account = chooseAccount()
  const layout = layoutOf(await resolveCache(options, account), binaries.major)
  const { idleMs, port, storage = 'auto', stayConnected = false } = options
  const maxConnections = Math.max(MAX_CONNECTIONS, options.maxConnections ?? 0)
  try {
    await makeOwnFolder(layout.folder, passThrough(account))
    const past = { ended: 0, failed: 0 }
    const input = { layout, binaries, account, storage, port, maxConnections, idleMs, past }
    const { found, started } = await reach({
      files: layout,
      attach: () => attachFast(layout, { idleMs, stayConnected }),
      start: (lock) => attachOrStart({ ...input, lock }),
    })
    const server = describeServer(found, layout)
    if (port !== undefined && port !== found.state.port) {
      const message = `the embedded server listens on port ${found.state.port}, not on ${port}`
      publish('warning.raised', { message: `${message} (${started ? 'it was taken' : 'it was running already'})` })
    }
    const durationMs = performance.now() - begun
    publish('server.started', { summary: server.summary, durationMs, attached: !started })
    return server
  } catch (error) {
    throw cacheError(error, layout.folder)
  }
}

/** The touch comes first: a supervisor that is about to stop the server sees it, or it fails because the file is gone. */
async function attachFast(layout: Layout, options: ProbeOptions): Promise<Outcome> {
  const state = await readState(layout.state)
  if (state === undefined || !(await touchState(layout.state))) return undefined
  const { found } = await probe(state, options)
  if (found?.supervisorPid !== undefined) return { found, started: false }
  await found?.session?.close()
  return undefined
}

function describeServer(found: Found, layout: Layout): Server {
  const { state, version, major } = found
  return {
    kind: 'embedded',
    admin: adminTarget(state),
    address: { host: '127.0.0.1', port: state.port, ssl: false },
    capabilities: superuserOf('postgres'),
    major,
    summary: `embedded PostgreSQL ${version} on port ${state.port}, data ${placeOf(state.dataDir, layout)}`,
    ours: true,
    ...(found.session && { session: found.session }),
    // Nothing is held: the server stops by itself when nobody is connected any more.
    release: () => Promise.resolve(),
  }
}
