/** Which time limits a Knex configuration has. Nothing of its connection is ever shown but the names of these. */

import type { KnexConfig } from '../../migrators/knex-types.ts'
import { DEFAULT_LIMITS } from '../../pools/limits.ts'

export interface MissingLimit {
  readonly what: string
  /** The line to add. */
  readonly fix: string
}

const SERVER_LIMITS = {
  statement_timeout: DEFAULT_LIMITS.statementMs,
  idle_in_transaction_session_timeout: DEFAULT_LIMITS.idleInTransactionMs,
} as const

/** Source: the same answer in production, DATABASE_POOL_CONNECTION_TIMEOUT_MS (DESIGN 7). */
const ACQUIRE_MS = 10_000

/** Source: Knex 2 and 3, lib/client.js, DEFAULT_ACQUIRE_TIMEOUT. */
const KNEX_ACQUIRE_SECONDS = 60

/** A function as connection is not called: it may ask a vault. What it returns is not known then. */
export function missingLimits(config: KnexConfig): MissingLimit[] {
  const { connection, pool = {} } = config
  const server = typeof connection === 'function' ? [] : Object.entries(SERVER_LIMITS)
  const missing = server
    .filter(([name]) => !hasLimit(connection, name) && !setsItself(pool.afterCreate, name))
    .map(([name, ms]) => ({ what: `no ${name}`, fix: lineFor(connection, name, ms) }))
  if (config.acquireConnectionTimeout !== undefined || pool.acquireTimeoutMillis !== undefined) return missing
  const what = `waits ${KNEX_ACQUIRE_SECONDS} s for a connection (Knex' default)`
  return [...missing, { what, fix: `acquireConnectionTimeout: ${readable(ACQUIRE_MS)}` }]
}

function hasLimit(connection: unknown, name: string): boolean {
  if (typeof connection === 'string') return urlHasLimit(connection, name)
  if (typeof connection !== 'object' || connection === null) return false
  const { connectionString, options, ...rest } = connection as Record<string, unknown>
  if (isLimit(rest[name]) || optionsHaveLimit(options, name)) return true
  return typeof connectionString === 'string' && urlHasLimit(connectionString, name)
}

function urlHasLimit(url: string, name: string): boolean {
  const query = new URLSearchParams(url.split('?').slice(1).join('?'))
  return isLimit(query.get(name)) || optionsHaveLimit(query.get('options'), name)
}

/** `-c statement_timeout=5s` and `--statement-timeout=5s`, as Postgres takes them. */
function optionsHaveLimit(options: unknown, name: string): boolean {
  const found = new RegExp(`(?:-c\\s*|--)${name.replaceAll('_', '[-_]')}=(\\S+)`).exec(String(options ?? ''))
  return isLimit(found?.[1])
}

/** 0 is no limit. */
const isLimit = (value: unknown): boolean => Number.parseInt(String(value ?? ''), 10) > 0

/** `set statement_timeout = …` for each new connection is as good. */
const setsItself = (afterCreate: unknown, name: string): boolean =>
  typeof afterCreate === 'function' && String(afterCreate).includes(name)

function lineFor(connection: unknown, name: string, ms: number): string {
  if (typeof connection === 'object' && connection !== null) return `${name}: ${readable(ms)}, in \`connection\``
  const url = typeof connection === 'string' ? `, or ${name}=${ms} in the query of the URL` : ''
  return `connection: { connectionString: …, ${name}: ${readable(ms)} }${url}`
}

const readable = (ms: number): string => String(ms).replace(/\B(?=(\d{3})+$)/g, '_')
