/** Where and as whom to connect: plain data that can be handed to a worker process. */
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
}

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
  // `false` is kept: without it the driver would look at PGSSLMODE.
  return parsed.ssl === undefined ? target : { ...target, ssl: parsed.ssl as boolean | Record<string, unknown> }
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
  const tls = target.ssl === undefined ? '' : sslMode(target.ssl)
  if (target.host.startsWith('/')) {
    return `postgresql://${auth}@/${e(target.database)}?host=${e(target.host)}&port=${target.port}${tls && `&${tls}`}`
  }
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  return `postgresql://${auth}@${host}:${target.port}/${e(target.database)}${tls && `?${tls}`}`
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
