/** Looks at the project's servers. Starts nothing, creates nothing. */
import type { ResolvedConfig } from '../../config/config.ts'
import { FORMAT, hasRegistry, liveRuns } from '../../coordination/index.ts'
import { noServer } from '../../open-server.ts'
import { type ConnectionTarget, describeTarget, type Session, withSession } from '../../postgres/index.ts'
import { type EmbeddedStatus, embeddedStatus } from '../../server/embedded/index.ts'
import { assertRegistry } from '../../server/rights.ts'
import { adminTarget } from '../../server/testcontainers/state.ts'
import { connectUrl } from '../../server/url.ts'
import { containerOf, openSession, runningServers } from '../project.ts'
import { readActivity } from './activity.ts'
import { readConnections, readDatabases, readSchemas, readTemplates, readWaits } from './queries.ts'
import type { EmbeddedDetails, ServerStatus, StatusReport } from './report.ts'

/** A server of the project, and where it is looked at; without that it does not run. */
export interface FoundServer {
  readonly known: Pick<ServerStatus, 'kind' | 'version' | 'place' | 'embedded' | 'container'>
  readonly admin: ConnectionTarget | undefined
}

/** Gives the session to look through, and takes it back. */
export interface Sessions {
  take(admin: ConnectionTarget): Promise<Session>
  giveBack(session: Session): Promise<void>
}

const ONCE: Sessions = { take: openSession, giveBack: (session) => session.close() }

/** Throws TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_NOT_DISPOSABLE for the server of a URL. */
export async function collectStatus(config: ResolvedConfig): Promise<StatusReport> {
  return await lookAt(config, await findServers(config), ONCE)
}

export async function lookAt(
  { project }: ResolvedConfig,
  found: readonly FoundServer[],
  sessions: Sessions,
): Promise<StatusReport> {
  const servers: ServerStatus[] = []
  for (const { known, admin } of found) {
    if (admin === undefined) {
      servers.push({ ...known, running: false, ...NOTHING })
      continue
    }
    const session = await sessions.take(admin)
    try {
      servers.push({ ...known, running: true, ...(await look(session)) })
    } finally {
      await sessions.giveBack(session)
    }
  }
  return { project, servers }
}

/** Throws as `collectStatus`. */
export async function findServers(config: ResolvedConfig): Promise<FoundServer[]> {
  if (config.server.kind === 'pg-mem') throw noServer()
  if (config.server.kind === 'url') return [await urlServer(config)]
  return config.server.kind === 'testcontainers' ? [await containerServer(config)] : await embeddedServers(config)
}

const NOTHING = {
  connections: null,
  problem: null,
  runs: [],
  templates: [],
  databases: [],
  schemas: [],
  activity: { queries: [], transactions: [] },
  waits: { runs: [], followers: [], blocked: [] },
} as const

async function urlServer({ server }: ResolvedConfig): Promise<FoundServer> {
  if (server.kind !== 'url') throw new Error('bug: no url server')
  const found = await connectUrl({ url: server.url ?? '', allow: server.allow === true })
  assertRegistry(found)
  const { admin } = found
  const version = await withSession(admin, { applicationName: 'testdb coordination' }, versionOf)
  return { known: { kind: 'url', version, place: describeTarget(admin), embedded: null, container: null }, admin }
}

async function containerServer(config: ResolvedConfig): Promise<FoundServer> {
  const { image, kept, log, found } = await containerOf(config)
  const container = { image, kept, log, supervisorPid: found?.supervisorPid ?? null }
  const base = { kind: 'testcontainers', embedded: null, container } as const
  if (found === undefined) return { known: { ...base, version: null, place: null }, admin: undefined }
  const { host, port } = found.state
  return { known: { ...base, version: found.version, place: `${host}:${port}` }, admin: adminTarget(found.state) }
}

async function embeddedServers(config: ResolvedConfig): Promise<FoundServer[]> {
  const known = await embeddedStatus({ projectRoot: config.root })
  const running = await runningServers(config)
  const servers = known.map((status): FoundServer => {
    const admin = status.running ? running.find(({ major }) => major === status.major)?.admin : undefined
    const place = admin === undefined ? null : `127.0.0.1:${status.port}`
    const base = { kind: 'embedded', version: status.version ?? null, container: null } as const
    return { known: { ...base, place, embedded: detailsOf(status) }, admin }
  })
  if (servers.length > 0) return servers
  const never = { kind: 'embedded', version: null, place: null, embedded: null, container: null } as const
  return [{ known: never, admin: undefined }]
}

function detailsOf(status: EmbeddedStatus): EmbeddedDetails {
  const { major, kept, cacheDir, log } = status
  const { pid = null, supervisorPid = null, storage = null, dataDir = null } = status
  return { major, pid, supervisorPid, kept, storage, dataDir, cacheDir, log }
}

async function look(
  session: Session,
): Promise<Omit<ServerStatus, 'kind' | 'running' | 'version' | 'place' | 'embedded' | 'container'>> {
  const connections = await readConnections(session)
  if (!(await hasRegistry(session))) {
    const { activity, blocked } = await readActivity(session, false)
    return { ...NOTHING, connections, activity, waits: { ...NOTHING.waits, blocked } }
  }
  const { rows } = await session.query<{ version: number }>('select version from testdb.format')
  if (rows[0]?.version !== FORMAT) {
    const problem = `the registry was made by another version of testdb (format ${rows[0]?.version}, here ${FORMAT})`
    return { ...NOTHING, connections, problem }
  }
  const runs = await liveRuns(session)
  const [templates, databases] = [await readTemplates(session), await readDatabases(session)]
  const { activity, blocked } = await readActivity(session, true)
  const waits = { ...(await readWaits(session, runs, templates)), blocked }
  return {
    connections,
    problem: null,
    runs,
    templates,
    databases,
    schemas: await readSchemas(session),
    activity,
    waits,
  }
}

async function versionOf(session: Session): Promise<string> {
  const { rows } = await session.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const version = rows[0]?.version ?? 0
  return `${Math.floor(version / 10_000)}.${version % 10_000}`
}
