/** The guard "connection limit hit": what to say to a test whose connection was refused. */
import { TestDbError } from '../errors.ts'
import { connectionLimit } from '../pools/limits.ts'
import { type Census, type Holder, type Refusal, shownStatement } from '../postgres/index.ts'

export interface RefusedConnection {
  /** The test, or the place outside of tests. */
  readonly who: string
  readonly refusal: Refusal
  /** The database of the tests; undefined where there is none at the moment. */
  readonly database: string | undefined
  /** Connections of a pool, as configured. */
  readonly poolMax: number
  /** Pools of this process that are connected to the database. */
  readonly pools: number
  /** Undefined when the server could not be asked. */
  readonly census: Census | undefined
}

/** Lines of holders at most; on a shared server there may be dozens. */
const MOST_HOLDERS = 12

/** The explanation as an error, `TESTDB_CONNECTION_REFUSED`. */
export function explainRefusal(refused: RefusedConnection): TestDbError {
  const { who, refusal, census } = refused
  const full = fullDatabase(refused)
  const holders = census?.holders.filter(({ database }) => full === undefined || database === full) ?? []
  const used = holders.reduce((sum, { connections }) => sum + connections, 0)
  const what = [
    `${who} was refused a connection: ${refusal.message}`,
    ...(census
      ? [`  ${limitOf(refused, full, holders, census)}, ${used} in use:`]
      : ['  who holds them could not be asked']),
    ...list(holders, full === undefined),
    ...(full !== undefined && full === refused.database ? [`  ${poolsOf(refused.pools)}`] : []),
  ].join('\n')
  const details = { database: full, used, pools: refused.pools, sqlstate: refusal.sqlstate }
  // Of a database of ours the table knows best; with many pools the likeliest fix is another one.
  const fixes = full === undefined ? { fixes: SERVER_FIXES } : refused.pools > 1 ? { fixes: POOL_FIXES } : {}
  return new TestDbError('TESTDB_CONNECTION_REFUSED', what, { details, ...fixes })
}

const CLOSE = 'Close what the test opens: `await client.end()`, `await pool.end()` in the test or in `afterAll`.'
const MORE = 'Set `pool: { max }` in testdb.config.ts if the code needs more: a database takes twice that plus 4.'

const POOL_FIXES = [
  'Use one pool for all that runs in a process: make it in one module, or take `db.pool`.',
  CLOSE,
  MORE,
  'Run `npx testdb status` while the test runs to see who is connected.',
]

const SERVER_FIXES = [
  'Close connections of other programs to this server, and pools that tests leave open.',
  'Run fewer workers at once, or raise `max_connections` of the server.',
  'Run `npx testdb status` while the test runs to see who is connected.',
]

/** The database that has reached its own limit; undefined when it is the server's, or that of a role. */
function fullDatabase({ refusal, database, census }: RefusedConnection): string | undefined {
  // The function of the server says it in every language; the message only has the name.
  if (refusal.routine !== 'CheckMyDatabase') return undefined
  const names = [...(database === undefined ? [] : [database]), ...(census?.holders ?? []).map((one) => one.database)]
  return names.find((name) => mentions(refusal.message, name)) ?? database
}

/** Whether a message of the server, in whatever language, names the database. */
export const mentions = (message: string, name: string): boolean => message.split(/[^\p{L}\p{N}_$-]+/u).includes(name)

function limitOf(
  { poolMax, refusal }: RefusedConnection,
  full: string | undefined,
  holders: readonly Holder[],
  { serverLimit }: Census,
): string {
  if (full === undefined) {
    if (refusal.routine === 'InitializeSessionUserId') return 'the role has a limit of its own'
    return `the server has ${serverLimit} connections for everybody together`
  }
  const limit = holders[0]?.limit
  if (limit === connectionLimit(poolMax)) return `limit ${limit} connections (pool.max ${poolMax}, twice that plus 4)`
  return limit === undefined ? 'limit unknown' : `limit ${limit} connections`
}

function list(holders: readonly Holder[], withDatabase: boolean): string[] {
  const shown = holders.slice(0, MOST_HOLDERS)
  const width = String(shown[0]?.connections ?? '').length
  const lines = shown.map((one) => {
    const place = withDatabase ? `${one.database}: ` : ''
    return `    ${String(one.connections).padStart(width)} × ${place}"${one.applicationName}" (${madeBy(one)})${doing(one)}`
  })
  const left = holders.slice(MOST_HOLDERS)
  if (left.length === 0) return lines
  const rest = left.reduce((sum, { connections }) => sum + connections, 0)
  return [...lines, `    ${rest} more with ${left.length} other names`]
}

const madeBy = ({ applicationName }: Holder): string => {
  if (applicationName.startsWith('testdb:')) return 'db.pool, db.knex() or db.connection'
  return applicationName.startsWith('testdb ') ? "testdb's own" : 'not made by testdb'
}

/** What testdb's own sessions do helps nobody. */
function doing({ applicationName, idleSeconds, query }: Holder): string {
  if (applicationName.startsWith('testdb ')) return ''
  const idle = idleSeconds === null ? '' : `, oldest idle for ${Math.round(idleSeconds)} s`
  return query ? `${idle}, last query: ${shownStatement(query)}` : idle
}

function poolsOf(pools: number): string {
  if (pools === 0)
    return 'No pool of pg or Knex in this process is connected to it: these are single clients, or of another driver or process.'
  return `This process has ${pools} ${pools === 1 ? 'pool' : 'pools'} open to this database.`
}
