/** Where and as whom to connect: plain data that can be handed to a worker process. */
import { resolve } from 'node:path'
import { parse } from 'pg-connection-string'

export interface ConnectionTarget {
  /** Host name, address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  /** As the driver takes it; undefined means no TLS. */
  readonly ssl?: boolean | Readonly<Record<string, unknown>> | undefined
  /** What else the URL said (`sslmode`, `schema`, …): other drivers and tools are told the same. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** True: a pooler stands before the server, which refuses settings in the start-up packet. */
  readonly pooled?: boolean | undefined
  /** Settings that a session starts with, as the server's command line has them (`-c name=value`). */
  readonly options?: string | undefined
}

/** Where a server is reached, without who and which database. */
export type ServerAddress = Pick<ConnectionTarget, 'host' | 'port' | 'ssl' | 'parameters' | 'pooled'>

/** Parameters of a URL that are fields of the target, or that it must not repeat. */
const FIELDS = new Set([
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'database',
  'db',
  'encoding',
  'application_name',
  'ssl',
])
const FILES = new Set(['sslrootcert', 'sslcert', 'sslkey'])

/** Reads a connection string (`postgres://user:pass@host:port/db?sslmode=…`, socket folders included). */
export function parseUrl(url: string): ConnectionTarget {
  const parsed = parse(url)
  const target: ConnectionTarget = {
    host: parsed.host || process.env.PGHOST || 'localhost',
    port: Number(parsed.port || process.env.PGPORT || 5432),
    user: parsed.user || process.env.PGUSER || 'postgres',
    password: parsed.password || process.env.PGPASSWORD,
    database: databaseOf(url) || parsed.database || process.env.PGDATABASE || parsed.user || 'postgres',
  }
  const parameters = parametersOf(url)
  // `false` is kept: without it the driver would look at PGSSLMODE.
  const ssl = parsed.ssl === undefined ? {} : { ssl: plainTls(parsed.ssl) }
  // What `ssl` says by itself is not said twice.
  if (ssl.ssl !== undefined && sslMode(ssl.ssl) === `sslmode=${parameters.sslmode}`) delete parameters.sslmode
  return { ...target, ...ssl, ...(Object.keys(parameters).length > 0 && { parameters }) }
}

/** Paths become absolute: workers and commands have other working directories. */
function parametersOf(url: string): Record<string, string> {
  const query = /^[^?#]*\?([^#]*)/.exec(url)?.[1] ?? ''
  const entries = [...new URLSearchParams(query)].filter(([name]) => !FIELDS.has(name))
  return Object.fromEntries(
    entries.map(([name, value]) => [name, FILES.has(name) && value !== 'system' ? resolve(value) : value]),
  )
}

/** Only what can be handed to a worker. Without the function that accepts every name, the name of the host is checked too. */
function plainTls(ssl: unknown): boolean | Record<string, unknown> {
  if (typeof ssl !== 'object' || ssl === null) return ssl === true
  return Object.fromEntries(Object.entries(ssl).filter(([, value]) => typeof value !== 'function'))
}

/** The parser leaves `%3F`, `%23` and other delimiters of a URL encoded. */
function databaseOf(url: string): string | undefined {
  const path = /^postgres(?:ql)?:\/\/[^/?#]*\/([^?#]+)/i.exec(url)?.[1]
  try {
    return path && decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** The connection string of a target; special characters of every part are encoded. */
export function formatUrl(target: ConnectionTarget): string {
  const e = encodeURIComponent
  const auth = target.password === undefined ? e(target.user) : `${e(target.user)}:${e(target.password)}`
  const { options, parameters = {} } = target
  const said = Object.entries(parameters).filter(([name]) => name !== 'options' || options === undefined)
  const rest = [
    ...(target.ssl === undefined || parameters.sslmode ? [] : [sslMode(target.ssl)]),
    ...[...said, ...(options === undefined ? [] : [['options', options] as const])].map(
      ([name, value]) => `${e(name)}=${e(value)}`,
    ),
  ].join('&')
  if (target.host.startsWith('/')) {
    return `postgresql://${auth}@/${e(target.database)}?host=${e(target.host)}&port=${target.port}${rest && `&${rest}`}`
  }
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  return `postgresql://${auth}@${host}:${target.port}/${e(target.database)}${rest && `?${rest}`}`
}

/** A target for people to read: never has the password. */
export function describeTarget(target: ConnectionTarget): string {
  const place = target.host.startsWith('/') ? `${target.host} port ${target.port}` : `${target.host}:${target.port}`
  return `${target.user}@${place}/${target.database}`
}

function sslMode(ssl: NonNullable<ConnectionTarget['ssl']>): string {
  if (ssl === false) return 'sslmode=disable'
  const unverified = typeof ssl === 'object' && ssl.rejectUnauthorized === false
  return unverified ? 'sslmode=no-verify' : 'sslmode=require'
}
