/** What each session of ours says first. */
import type pg from 'pg'
import type { ConnectionTarget } from './target.ts'
import { wireOf } from './wire.ts'

export interface SessionOptions {
  /** Shown in `pg_stat_activity`, so that whoever looks knows who holds the connection. */
  readonly applicationName: string
  /** Milliseconds until a connection attempt is given up. @default 10_000 */
  readonly connectTimeoutMs?: number
  /** Milliseconds to wait for a connection of a server that has none left. @default 5_000 */
  readonly fullPatienceMs?: number
  /** True: time limits, a role and a transaction mode that the database or the role has as defaults do not bind it. @default false */
  readonly neutral?: boolean
  /** Server settings for this session, sent after connecting. */
  readonly settings?: Readonly<Record<string, string>>
  /** A statement to begin with, sent in the same round trip as the session's own settings. */
  readonly begin?: string
}

/** How soon the server notices, inside a statement, that our process is gone (ms). Below a human's patience, above noise. */
const CLIENT_CHECK_MS = 250

/** What a server may do to a session after some time; which of them there are depends on its version. */
const TIME_LIMITS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout',
] as const
/** The last one came with this major version; the others are in all that testdb takes. */
const TRANSACTION_TIMEOUT_SINCE = 17
const OLDEST = 14

/** Makes the server look after its client inside a statement: who dies while it waits for a lock leaves the queue. */
export const WATCH_CLIENT = `
  select set_config('client_connection_check_interval', '${CLIENT_CHECK_MS}', false)
   where current_setting('client_connection_check_interval', true) is not null and version() !~* 'windows|mingw|msvc'
     and (current_setting('server_version_num')::int >= 150000 or version() ~* 'linux')`

/** Known from connecting on, and only of a server that is reached through a socket of Linux; call it before. */
export function localMajorOf(client: pg.Client, { host }: ConnectionTarget): () => number | undefined {
  let major: number | undefined
  if (process.platform === 'linux' && host.startsWith('/')) {
    wireOf(client).on('parameterStatus', ({ parameterName, parameterValue }) => {
      if (parameterName === 'server_version') major = Number.parseInt(parameterValue, 10)
    })
  }
  return () => major
}

export interface ConfigureOptions {
  /** True: what the database or the role has as defaults does not bind the session. */
  readonly neutral: boolean
  /** Major version of a server on this machine, which has Linux; undefined where that is not known. */
  readonly localMajor: number | undefined
}

/**
 * Not in the start-up packet: poolers refuse `options`, and Windows servers (14 also on other systems than Linux) refuse
 * `client_connection_check_interval`.
 * Asking the server what it has is a query, whose planning is a tenth of all that a new connection costs it; so where that is
 * known, nothing is asked.
 */
export function configure({ neutral, localMajor = 0 }: ConfigureOptions): string {
  const own = neutral ? 'set role none; set default_transaction_read_only = off;' : ''
  if (localMajor < OLDEST)
    return `${neutral ? 'set statement_timeout = 0;' : ''} ${own} ${WATCH_CLIENT}; ${neutral ? LIFT : ''}`
  const limits = localMajor < TRANSACTION_TIMEOUT_SINCE ? TIME_LIMITS.slice(0, -1) : TIME_LIMITS
  const lifted = neutral ? limits.map((name) => `set ${name} = 0;`).join(' ') : ''
  return `${lifted} ${own} set client_connection_check_interval = ${CLIENT_CHECK_MS};`
}

/** Lifts the limits that the server has. */
const LIFT = `select set_config(name, '0', false) from unnest('{${TIME_LIMITS.join(', ')}}'::text[]) as name
  where current_setting(name, true) is not null;`
