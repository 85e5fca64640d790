/** After a campaign: nothing may be left but the living server, complete templates, and databases that nobody holds. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { LOCK_SPACE, type Session } from '../../src/postgres/index.ts'
import type { Layout } from '../../src/server/embedded/locations.ts'
import { readState } from '../../src/server/embedded/state-file.ts'
import { isAlive, postmasters, supervisors, withTemporary } from './processes.ts'

/** The background sweep of a run that has just ended, sessions that are about to leave (ms). */
const PATIENCE_MS = 15_000

/** All but the supervisor's. */
const OURS = Object.entries(LOCK_SPACE).flatMap(([space, key]) => (space === 'server' ? [] : [key]))

/** What the registry and the server say; each query gives one line per thing that should not be there. */
const QUERIES: readonly string[] = [
  `select format('run %s of pid %s', id, pid) from testdb.runs`,
  `select format('advisory lock %s/%s in %s', classid, objid, d.datname) from pg_locks l left join pg_database d on d.oid = l.database
    where locktype = 'advisory' and classid in (${OURS})`,
  `select format('database %s is %s', name, state) from testdb.databases where state <> 'ready'`,
  `select format('database %s is in the registry only', name) from testdb.databases where name not in (select datname from pg_database)`,
  `select format('template %s is %s with staging database %s', name, state, staging) from testdb.templates
    where staging is not null or state = 'building'`,
  `select format('database %s is in no registry', datname) from pg_database where datname like 'testdb\\_%'
      and datname not in (select name from testdb.databases union select name from testdb.templates where state = 'sealed')`,
  `select format('session of %s on %s: %s', application_name, datname, query) from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name not like 'testdb supervisor%'`,
]

export async function leftOnServer(session: Session): Promise<string[]> {
  return await poll(async () => {
    const found: string[] = []
    for (const sql of QUERIES) {
      const { rows } = await session.query<{ format: string }>(sql)
      found.push(...rows.map(({ format }) => format))
    }
    return found
  })
}

/** Processes, folders and shared memory. */
export async function leftOnMachine(
  layout: Layout,
  temporary: string,
  postmastersSeen: ReadonlySet<number>,
  oldSegments: ReadonlySet<number>,
): Promise<string[]> {
  return await poll(async () => {
    const found: string[] = []
    const [supervisor, ...others] = supervisors(temporary)
    const servers = postmasters([layout.memoryCluster, layout.diskCluster])
    if (others.length > 0) found.push(`more than one supervisor: ${[supervisor, ...others].join(', ')}`)
    if (servers.length > 1) found.push(`more than one server: ${servers.join(', ')}`)
    for (const { pid, argv } of withTemporary(temporary)) {
      if (pid !== supervisor) found.push(`process ${pid}: ${argv.join(' ').slice(0, 200)}`)
    }
    const socket = (await readState(layout.state))?.socketDir
    for (const name of readdirSync(temporary).filter((one) => one.startsWith('testdb-'))) {
      if (path.join(temporary, name) !== socket)
        found.push(`${name} in the temporary folder: ${inside(path.join(temporary, name))}`)
    }
    found.push(...unexpected(path.dirname(layout.memoryCluster), [path.basename(layout.memoryCluster), 'cache-folder']))
    found.push(...unexpected(layout.memoryCluster, ['cluster.json', 'data']))
    found.push(...unexpected(layout.folder, EXPECTED_IN_CACHE))
    return [...found, ...orphanedSegments(postmastersSeen, oldSegments)]
  })
}

const EXPECTED_IN_CACHE = ['state.json', 'keep', 'server.log', 'supervisor.log', 'cluster', /^(lib|native)-/]

function unexpected(folder: string, expected: readonly (string | RegExp)[]): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => !expected.some((one) => (typeof one === 'string' ? one === name : one.test(name))))
    .map((name) => `${path.join(folder, name)}`)
}

const inside = (folder: string): string => {
  try {
    return readdirSync(folder).join(', ') || 'empty'
  } catch {
    return 'a file'
  }
}

function segments(): { id: number; creator: number; attached: number }[] {
  const [, ...lines] = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [, id = 0, , , creator = 0, , attached = 0] = line.trim().split(/\s+/).map(Number)
    return { id, creator, attached }
  })
}

/** What is there before a campaign: of a process that had, long ago, the pid that one of its servers will have. */
export const segmentsNow = (): ReadonlySet<number> => new Set(segments().map(({ id }) => id))

/** System V shared memory of dead postmasters, which the system keeps until it is told otherwise. */
function orphanedSegments(seen: ReadonlySet<number>, old: ReadonlySet<number>): string[] {
  return segments()
    .filter(({ id, creator, attached }) => attached === 0 && seen.has(creator) && !old.has(id) && !isAlive(creator))
    .map(({ id, creator }) => `shared memory ${id} of the postmaster ${creator}`)
}

async function poll(look: () => Promise<string[]>): Promise<string[]> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found.length === 0 || Date.now() > deadline) return found
    await delay(250)
  }
}
