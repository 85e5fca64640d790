/** Looks at the project's servers. Starts nothing, creates nothing. */
import type { ResolvedConfig } from '../../config/config.ts'
import { FORMAT, hasRegistry, liveRuns } from '../../coordination/index.ts'
import { noServer } from '../../open-server.ts'
import { describeTarget, type Session } from '../../postgres/index.ts'
import { type EmbeddedStatus, embeddedStatus } from '../../server/embedded/index.ts'
import { assertRegistry } from '../../server/rights.ts'
import { adminTarget } from '../../server/testcontainers/state.ts'
import { connectUrl } from '../../server/url.ts'
import { containerOf, openSession, runningServers } from '../project.ts'
import { readConnections, readDatabases, readSchemas, readTemplates } from './queries.ts'
import type { EmbeddedDetails, ServerStatus, StatusReport } from './report.ts'

/** Throws TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_NOT_DISPOSABLE for the server of a URL. */
export async function collectStatus(config: ResolvedConfig): Promise<StatusReport> {
  if (config.server.kind === 'pg-mem') throw noServer()
  const servers = await serversOf(config)
  return { project: config.project, servers }
}

async function serversOf(config: ResolvedConfig): Promise<ServerStatus[]> {
  if (config.server.kind === 'url') return [await urlServer(config)]
  return config.server.kind === 'testcontainers' ? [await containerServer(config)] : await embeddedServers(config)
}

const NOTHING = { connections: null, problem: null, runs: [], templates: [], databases: [], schemas: [] } as const

async function urlServer({ server }: ResolvedConfig): Promise<ServerStatus> {
  if (server.kind !== 'url') throw new Error('bug: no url server')
  const found = await connectUrl({ url: server.url ?? '', allow: server.allow === true })
  assertRegistry(found)
  const { admin } = found
  await using session = await openSession(admin)
  const inside = await look(session)
  const version = await versionOf(session)
  return {
    kind: 'url',
    running: true,
    version,
    place: describeTarget(admin),
    embedded: null,
    container: null,
    ...inside,
  }
}

async function containerServer(config: ResolvedConfig): Promise<ServerStatus> {
  const { image, kept, log, found } = await containerOf(config)
  const container = { image, kept, log, supervisorPid: found?.supervisorPid ?? null }
  const base = { kind: 'testcontainers', embedded: null, container } as const
  if (found === undefined) return { ...base, running: false, version: null, place: null, ...NOTHING }
  const { host, port } = found.state
  await using session = await openSession(adminTarget(found.state))
  return { ...base, running: true, version: found.version, place: `${host}:${port}`, ...(await look(session)) }
}

async function embeddedServers(config: ResolvedConfig): Promise<ServerStatus[]> {
  const known = await embeddedStatus({ projectRoot: config.root })
  const running = await runningServers(config)
  const servers: ServerStatus[] = []
  for (const status of known) {
    const admin = running.find(({ major }) => major === status.major)?.admin
    const base = {
      kind: 'embedded',
      version: status.version ?? null,
      embedded: detailsOf(status),
      container: null,
    } as const
    if (!status.running || admin === undefined) servers.push({ ...base, running: false, place: null, ...NOTHING })
    else {
      await using session = await openSession(admin)
      servers.push({ ...base, running: true, place: `127.0.0.1:${status.port}`, ...(await look(session)) })
    }
  }
  if (servers.length > 0) return servers
  return [{ kind: 'embedded', running: false, version: null, place: null, embedded: null, container: null, ...NOTHING }]
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
  if (!(await hasRegistry(session))) return { ...NOTHING, connections }
  const { rows } = await session.query<{ version: number }>('select version from testdb.format')
  if (rows[0]?.version !== FORMAT) {
    const problem = `the registry was made by another version of testdb (format ${rows[0]?.version}, here ${FORMAT})`
    return { ...NOTHING, connections, problem }
  }
  const runs = await liveRuns(session)
  const [templates, databases] = [await readTemplates(session), await readDatabases(session)]
  return { connections, problem: null, runs, templates, databases, schemas: await readSchemas(session) }
}

async function versionOf(session: Session): Promise<string> {
  const { rows } = await session.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const version = rows[0]?.version ?? 0
  return `${Math.floor(version / 10_000)}.${version % 10_000}`
}
