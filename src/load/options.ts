/** Options of `runLoad()`, with every mistake at once. */
import { invalidOptions, MOST_MS, show } from '../pools/settings.ts'
import type { LoadCriteria } from './result.ts'

export interface LoadRequest {
  /** @default 'GET' */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS'
  /** With its query, such as '/orders?page=2'. @default the path of `url` */
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A text, or what becomes JSON. */
  readonly body?: unknown
}

export interface LoadOptions {
  /** Where the service is, such as 'http://127.0.0.1:3000'. */
  readonly url: string
  /** Connections of HTTP. @default 10 */
  readonly connections?: number
  /** Requests that each connection sends without waiting for the answers. @default 1 */
  readonly pipelining?: number
  /** Milliseconds. @default 10000 */
  readonly durationMs?: number
  /** Requests in all; then `durationMs` does not count. */
  readonly amount?: number
  /** Sent in turns by each connection. @default one GET of `url` */
  readonly requests?: readonly LoadRequest[]
  /** For all requests. */
  readonly headers?: Readonly<Record<string, string>>
  /** Milliseconds to wait for an answer. @default 10000 */
  readonly timeoutMs?: number
  /** Threads that make the load; 0: this one, which then takes the time of a service in the same process. @default 1 */
  readonly workers?: number
  /** `pg.Pool`s and Knex instances of this process that the service uses. */
  readonly pools?: readonly object[]
  readonly criteria?: LoadCriteria
}

export const LOAD_PAGE = 'docs/load.md'
const KNOWN = [
  ...['url', 'connections', 'pipelining', 'durationMs', 'amount', 'requests'],
  ...['headers', 'timeoutMs', 'workers', 'pools', 'criteria'],
]
const CRITERIA = ['minRequestsPerSecond', 'maxP99Ms', 'maxErrors', 'maxPoolUtilisation']

/** Throws `TESTDB_CONFIG_INVALID`. */
export function checkLoadOptions(options: LoadOptions): void {
  const given = (options ?? {}) as unknown as Readonly<Record<string, unknown>>
  const problems: string[] = []
  for (const key of Object.keys(given)) {
    if (!KNOWN.includes(key)) problems.push(`${key}: unknown option; accepted: ${KNOWN.join(', ')}`)
  }
  if (typeof given.url !== 'string' || !/^https?:\/\//.test(given.url))
    problems.push(`url: expected http://host:port, got ${show(given.url)}`)
  const integer = (key: string, least: number, most: number): void => {
    const value = given[key]
    if (value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most))
      return
    problems.push(`${key}: expected an integer from ${least} to ${most}, got ${show(value)}`)
  }
  integer('connections', 1, 10_000)
  integer('pipelining', 1, 1_000)
  integer('durationMs', 100, MOST_MS)
  integer('amount', 1, 1_000_000_000)
  integer('timeoutMs', 1_000, MOST_MS)
  integer('workers', 0, 64)
  for (const key of ['requests', 'pools']) {
    if (given[key] !== undefined && !Array.isArray(given[key]))
      problems.push(`${key}: expected an array, got ${show(given[key])}`)
  }
  const { amount, connections = 10 } = options
  if (amount !== undefined && amount < connections)
    problems.push(`amount: expected one for each of the ${connections} connections at least, got ${show(amount)}`)
  for (const [key, value] of Object.entries(given.criteria ?? {})) {
    if (!CRITERIA.includes(key)) problems.push(`criteria.${key}: unknown; accepted: ${CRITERIA.join(', ')}`)
    else if (value !== undefined && !(typeof value === 'number' && value >= 0))
      problems.push(`criteria.${key}: expected a number from 0, got ${show(value)}`)
  }
  if (options?.criteria?.maxPoolUtilisation !== undefined && (options.pools ?? []).length === 0)
    problems.push('criteria.maxPoolUtilisation: expected pools beside it, got none')
  if (problems.length > 0) throw invalidOptions('runLoad', problems, LOAD_PAGE)
}
