/** Connects to a server of ours, and checks that it is that one. */
import { messageOf } from '../../errors.ts'
import { type ConnectionTarget, isSqlState, LOCK_SPACE, Session } from '../../postgres/index.ts'

/** Second keys in LOCK_SPACE.server, in the maintenance database. */
export const SERVER_LOCK = {
  /** Held by the supervisor's session: there is one, and it lives. */
  supervisor: 2,
} as const

/** Application name of the supervisor's session, followed by its pid; the session is the truth about who supervises. */
export const SUPERVISOR_NAME = 'testdb supervisor'

/** A supervisor listens here; the payload `stop` stops the server, `idle 60000` asks for at least that idle time (ms). */
export const SUPERVISOR_CHANNEL = 'testdb_supervisor'

/** Where a server should be, and by which of its settings it is known to be that one. */
export interface Identity {
  readonly admin: ConnectionTarget
  readonly setting: 'data_directory' | 'cluster_name'
  readonly value: string
}

export interface Seen {
  readonly major: number
  /** For people, for example `18.4`. */
  readonly version: string
  /** Pid of the living supervisor; undefined when the server is an orphan. */
  readonly supervisorPid: number | undefined
  /** Open, and the caller's to close, where it was asked to stay connected. */
  readonly session?: Session
}

/**
 * Why a server that is there does not let us in:
 * `full`: it is healthy, but has no connection left ·
 * `starting`: it recovers from a crash, or is shutting down ·
 * `locked out`: our own login is refused, or the maintenance database is gone: somebody changed that by hand.
 */
export type Refusal = 'full' | 'starting' | 'locked out'

export type Probe =
  | { readonly found: Seen }
  | { readonly found: undefined; readonly reason: string; readonly refusal: Refusal | undefined }

/** Undefined for everything that may pass or says nothing about the server: refused, too slow, cut off. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (isSqlState(error, 'tooManyConnections')) return 'full'
  if (isSqlState(error, 'cannotConnectNow')) return 'starting'
  const locked = [
    'invalidPassword',
    'invalidAuthorization',
    'invalidCatalogName',
    'objectNotInPrerequisiteState',
  ] as const
  return isSqlState(error, ...locked) ? 'locked out' : undefined
}

/** How long a connection may take (ms); a local server that takes longer is not well. */
const CONNECT_TIMEOUT_MS = 5_000

export interface ProbeOptions {
  /** Milliseconds that the supervisor is asked to let the server live without sessions: the longest time of all who attach counts. */
  readonly idleMs?: number
  /** Whoever needs a session anyway saves the server a process. @default false */
  readonly stayConnected?: boolean
}

/**
 * Asks the server who it is: the port may belong to something else by now. Whatever goes wrong (refused, starting,
 * stopping, wrong password) is an answer, not an error: the caller then looks closer, under the start lock.
 */
export async function probeServer({ admin, setting, value }: Identity, options: ProbeOptions = {}): Promise<Probe> {
  const { idleMs, stayConnected = false } = options
  let session: Session
  try {
    session = await Session.open(admin, {
      applicationName: stayConnected ? 'testdb coordination' : 'testdb attach',
      neutral: true,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      // A server that is full is an answer.
      fullPatienceMs: 0,
    })
  } catch (error) {
    return { found: undefined, reason: messageOf(error), refusal: refusalOf(error) }
  }
  let found: Seen | undefined
  try {
    // Not pg_stat_activity: planning that view is most of what attaching costs the server.
    const { rows } = await session.query<{ identity: string; version: number; supervisor: string | null }>(
      `select current_setting($3) as identity, current_setting('server_version_num')::int as version,
              (select (pg_stat_get_activity(pid)).application_name from pg_locks
                where locktype = 'advisory' and classid = $1 and objid = $2 and objsubid = 2 and granted
                  and database = (select oid from pg_database where datname = current_database())) as supervisor`,
      [LOCK_SPACE.server, SERVER_LOCK.supervisor, setting],
    )
    const row = rows[0]
    if (row?.identity !== value) {
      const reason = `the server on port ${admin.port} is another one: its ${setting} is not ${value}`
      return { found: undefined, reason, refusal: undefined }
    }
    if (idleMs !== undefined) {
      // A wish: a server that can not pass it on (its disk is full) is still the server.
      const wish = session.query('select pg_notify($1, $2)', [SUPERVISOR_CHANNEL, `idle ${idleMs}`])
      await wish.catch(() => undefined)
    }
    const major = Math.floor(row.version / 10_000)
    const supervisorPid = row.supervisor === null ? undefined : Number(/\d+$/.exec(row.supervisor)?.[0] ?? 0)
    found = { major, version: `${major}.${row.version % 10_000}`, supervisorPid, ...(stayConnected && { session }) }
    return { found }
  } catch (error) {
    return { found: undefined, reason: messageOf(error), refusal: undefined }
  } finally {
    if (found?.session === undefined) await session.close()
  }
}
