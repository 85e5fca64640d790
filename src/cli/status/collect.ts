/** Looks at the project's servers. Starts nothing, creates nothing. */
import type { ResolvedConfig } from '../../config/config.ts'
import { FORMAT, hasRegistry, liveRuns } from '../../coordination/index.ts'
import { describeTarget, type Session } from '../../postgres/index.ts'
import { type EmbeddedStatus, embeddedStatus } from '../../server/embedded/index.ts'
import { connectUrl } from '../../server/url.ts'
import { openSession, runningEmbedded } from '../project.ts'
import { readConnections, readDatabases, readTemplates } from './queries.ts'
import type { EmbeddedDetails, ServerStatus, StatusReport } from './report.ts'

/** Throws TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_NOT_DISPOSABLE for the server of a URL. */
export async function collectStatus(config: ResolvedConfig): Promise<StatusReport> {
  const servers = config.server.kind === 'url' ? [await urlServer(config)] : await embeddedServers(config)
  return { project: config.project, servers }
}

const NOTHING = { connections: null, problem: null, runs: [], templates: [], databases: [] } as const

async function urlServer({ server }: ResolvedConfig): Promise<ServerStatus> {
  if (server.kind !== 'url') throw new Error('bug: no url server')
  const { admin } = await connectUrl({ url: server.url ?? '', allow: server.allow === true })
  await using session = await openSession(admin)
  const inside = await look(session)
  const version = await versionOf(session)
  return { kind: 'url', running: true, version, place: describeTarget(admin), embedded: null, ...inside }
}

async function embeddedServers(config: ResolvedConfig): Promise<ServerStatus[]> {
  const known = await embeddedStatus({ projectRoot: config.root })
  const running = await runningEmbedded(config)
  const servers: ServerStatus[] = []
  for (const status of known) {
    const admin = running.find(({ major }) => major === status.major)?.admin
    const base = { kind: 'embedded', version: status.version ?? null, embedded: detailsOf(status) } as const
    if (!status.running || admin === undefined) servers.push({ ...base, running: false, place: null, ...NOTHING })
    else {
      await using session = await openSession(admin)
      servers.push({ ...base, running: true, place: `127.0.0.1:${status.port}`, ...(await look(session)) })
    }
  }
  if (servers.length > 0) return servers
  return [{ kind: 'embedded', running: false, version: null, place: null, embedded: null, ...NOTHING }]
}

function detailsOf(status: EmbeddedStatus): EmbeddedDetails {
  const { major, kept, cacheDir, log } = status
  const { pid = null, supervisorPid = null, storage = null, dataDir = null } = status
  return { major, pid, supervisorPid, kept, storage, dataDir, cacheDir, log }
}

async function look(
  session: Session,
): Promise<Omit<ServerStatus, 'kind' | 'running' | 'version' | 'place' | 'embedded'>> {
  const connections = await readConnections(session)
  if (!(await hasRegistry(session))) return { ...NOTHING, connections }
  const { rows } = await session.query<{ version: number }>('select version from testdb.format')
  if (rows[0]?.version !== FORMAT) {
    const problem = `the registry was made by another version of testdb (format ${rows[0]?.version}, here ${FORMAT})`
    return { ...NOTHING, connections, problem }
  }
  const runs = await liveRuns(session)
  const [templates, databases] = [await readTemplates(session), await readDatabases(session)]
  return { connections, problem: null, runs, templates, databases }
}

async function versionOf(session: Session): Promise<string> {
  const { rows } = await session.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const version = rows[0]?.version ?? 0
  return `${Math.floor(version / 10_000)}.${version % 10_000}`
}
