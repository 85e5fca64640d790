/** The status for people: one block per server, one line per thing. */
import { formatDuration, oneLine, plural } from '../../report/format.ts'
import type { Terminal } from '../terminal.ts'
import { describeActivity, mark } from './print-activity.ts'
import type {
  Connections,
  DatabaseStatus,
  RunStatus,
  SchemaStatus,
  ServerStatus,
  StatusReport,
  TemplateStatus,
} from './report.ts'

export function printStatus({ servers }: StatusReport, terminal: Terminal): void {
  for (const [i, server] of servers.entries()) {
    if (i > 0) terminal.out('')
    printServer(server, terminal)
  }
}

function printServer(server: ServerStatus, terminal: Terminal): void {
  const { out, colours } = terminal
  out(`${colours.bold('server')}       ${describeServer(server)}`)
  if (!server.running) return
  if (server.connections) out(`${colours.bold('connections')}  ${paint(server.connections, terminal)}`)
  if (server.problem !== null) out(`problem      ${server.problem}`)
  const { runs, templates, databases, schemas } = server
  const section = (title: string, lines: readonly string[]): void => {
    out(`${colours.bold(title)} (${lines.length})`)
    for (const line of lines) out(`  ${line}`)
  }
  section(
    'runs',
    runs.map((run) => {
      const { id, project, runner, pid, host, ageSeconds } = run
      const who = [
        `#${id} ${runner} in ${project}`,
        `pid ${pid} on ${host}`,
        `for ${formatDuration(ageSeconds * 1000)}`,
      ]
      return [...who, describePart(run)].join(' · ')
    }),
  )
  // A row without a database is only a memory: of what was pruned, or of a build that has not begun.
  section('templates', templates.filter(({ state }) => state !== 'missing').map(describeTemplate))
  section(
    'databases',
    databases.map((one) => describeDatabase(one, terminal)),
  )
  // Only who uses them wants to hear of them.
  if (schemas.length > 0) section('schemas', schemas.map(describeSchema))
  for (const [title, lines] of describeActivity(server, terminal)) if (lines.length > 0) section(title, lines)
}

function describePart({ connections, slots, connectionLimit, waiting }: RunStatus): string {
  if (waiting) return 'waiting for connections'
  const databases = slots === null ? '' : `: ${plural(slots, 'database')} of ${connectionLimit}`
  return `${plural(connections, 'connection')}${databases}`
}

function describeServer({ kind, running, version, place, embedded, container }: ServerStatus): string {
  const name = version === null ? 'PostgreSQL' : `PostgreSQL ${version}`
  if (kind === 'url') return `${name} at ${place}, not managed by testdb`
  if (container !== null) {
    const { image, supervisorPid, kept } = container
    if (!running) return `container of ${image}, not running`
    const supervisor =
      supervisorPid === null ? 'no supervisor (the next run starts one)' : `supervisor ${supervisorPid}`
    return [
      `${name} in a container of ${image} on ${place}`,
      supervisor,
      ...(kept ? ['kept by `testdb up`'] : []),
    ].join(' · ')
  }
  if (embedded === null) return 'embedded, never started'
  if (!running) return `embedded PostgreSQL ${embedded.major}, not running · ${embedded.cacheDir}`
  const supervisor =
    embedded.supervisorPid === null ? 'no supervisor (the next run starts one)' : `supervisor ${embedded.supervisorPid}`
  const kept = embedded.kept ? ['kept by `testdb up`'] : []
  const data = `data ${embedded.storage === 'memory' ? 'in memory' : 'on disk'} (${embedded.dataDir})`
  return [`embedded ${name} on ${place}`, `pid ${embedded.pid}`, supervisor, ...kept, data].join(' · ')
}

const paint = ({ used, max, percent, severity }: Connections, terminal: Terminal): string =>
  mark(`${used} of ${max} (${percent} %)`, severity, terminal)

function describeTemplate(template: TemplateStatus): string {
  const { name, project, migrations, buildMs, lastUsed, bytes } = template
  const built = buildMs === null ? [] : [`built in ${formatDuration(buildMs)}`]
  return [
    `${name ?? '(the shared database)'} · ${project}`,
    describeState(template),
    ...(migrations === null ? [] : [plural(migrations, 'migration')]),
    ...built,
    ...sizeOf(bytes),
    `used ${lastUsed}`,
  ].join(' · ')
}

function describeState({ state, leader, step, error }: TemplateStatus): string {
  if (state === 'failed' && error !== null) return `failed: ${error.code}: ${oneLine(error.what)}`
  if (state !== 'building' || leader === null) return state
  const at = step === null ? '' : `, at migration ${step.index}/${step.total} ${oneLine(step.name)}`
  const who = `pid ${leader.pid} on ${leader.host}`
  return leader.alive ? `building by ${who}${at}` : `abandoned by ${who}${at}`
}

function describeDatabase(database: DatabaseStatus, terminal: Terminal): string {
  const { name, template, state, lease, bytes, connections, connectionLimit, severity } = database
  const held = lease === null ? 'idle' : `leased by session ${lease.backendPid} (${lease.applicationName})`
  return [
    `${name} · of ${template}`,
    state === 'ready' ? held : state,
    mark(`${connections}${connectionLimit === null ? '' : ` of ${connectionLimit}`} connections`, severity, terminal),
    ...sizeOf(bytes),
  ].join(' · ')
}

function describeSchema({ name, project, hash, state, lease, runId }: SchemaStatus): string {
  const held = lease === null ? 'idle' : `used by session ${lease.backendPid} (${lease.applicationName})`
  const what = state === 'ready' || state === 'held' ? held : state
  return [name, `${project} ${hash.slice(0, 8)}`, what, ...(runId === null ? [] : [`run #${runId}`])].join(' · ')
}

function sizeOf(bytes: number | null): string[] {
  return bytes === null ? [] : [`${(bytes / 1024 ** 2).toFixed(1)} MB`]
}
