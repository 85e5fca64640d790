/** A server that somebody else runs, given by its connection string. */
import { messageOf, TestDbError } from '../errors.ts'
import {
  assertNoTransactionPooling,
  type ConnectionTarget,
  describeTarget,
  parseUrl,
  Session,
} from '../postgres/index.ts'
import { measureCapabilities } from './capabilities.ts'
import type { Server } from './server.ts'

export interface UrlOptions {
  /** Connection string; its database is the maintenance database. */
  readonly url: string
  /** Says that the server is for tests although its database's name does not. @default TESTDB_ALLOW=1 */
  readonly allow?: boolean | undefined
}

/** client_connection_check_interval, pg_stat_activity and multiranges are as testdb expects them from here on. */
const MIN_MAJOR = 14

/** `test`, `testing` or `ci` as a word: not in `latest`, `contest` or `cities`. */
const SAYS_TEST = /(?<![a-z])(?:test|testing|ci)(?![a-z])/i

/**
 * Connects once and looks at the server; writes nothing.
 *
 * @throws TESTDB_SERVER_NOT_DISPOSABLE before anything is connected to; TESTDB_SERVER_UNREACHABLE, TESTDB_SERVER_UNSUPPORTED
 */
export async function connectUrl({ url, allow = false }: UrlOptions): Promise<Server> {
  const given = parse(url)
  if (!allow && process.env.TESTDB_ALLOW !== '1') assertDisposable(given)
  const session = await open(given)
  try {
    // A password that was read from a password file (PGPASSFILE, ~/.pgpass), whose lines may be for this database alone.
    const admin: ConnectionTarget = {
      ...given,
      password: session.password,
      ...((await isPooled(session, given)) && { pooled: true }),
    }
    const { rows } = await session.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    )
    const version = rows[0]?.version ?? 0
    const major = Math.floor(version / 10_000)
    const text = `${major}.${version % 10_000}`
    if (major < MIN_MAJOR) {
      const what = `${describeTarget(admin)} is PostgreSQL ${text}; testdb needs ${MIN_MAJOR} or newer`
      throw new TestDbError('TESTDB_SERVER_UNSUPPORTED', what, { details: { ...publicParts(admin), version: text } })
    }
    return {
      kind: 'url',
      admin,
      address: {
        ...{ host: admin.host, port: admin.port, ssl: admin.ssl },
        ...(admin.parameters && { parameters: admin.parameters }),
        ...(admin.pooled && { pooled: true }),
      },
      capabilities: await measureCapabilities(session),
      major,
      summary: `PostgreSQL ${text} at ${describeTarget(admin)}`,
      ours: false,
      release: () => Promise.resolve(),
    }
  } finally {
    await session.close()
  }
}

/** True for a pooler in session mode, which is as good as the server; one in transaction mode is refused. */
async function isPooled(session: Session, target: ConnectionTarget): Promise<boolean> {
  return await assertNoTransactionPooling(session, target, () => open(target))
}

/** Tells whether a database's name says that it is meant for tests. A local host says nothing: a tunnel looks local too. */
export function saysTest(database: string): boolean {
  return SAYS_TEST.test(database)
}

function assertDisposable(admin: ConnectionTarget): void {
  if (saysTest(admin.database)) return
  throw new TestDbError(
    'TESTDB_SERVER_NOT_DISPOSABLE',
    `the database "${admin.database}" at ${admin.host}:${admin.port} has no name that says test`,
    { details: publicParts(admin) },
  )
}

function parse(url: string): ConnectionTarget {
  try {
    return parseUrl(url)
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (code !== undefined && path !== undefined) {
      throw new TestDbError(
        'TESTDB_CONFIG_INVALID',
        `server.url (TESTDB_URL) names a file that can not be read: ${path} (${code})`,
        {
          fixes: [
            'Correct sslrootcert, sslcert or sslkey in the URL; a relative path is taken from where the command was started.',
            'Run `npx testdb doctor` to see each value and where it came from.',
          ],
        },
      )
    }
    // Neither the text nor the error of the parser goes along: both have the password in them.
    throw new TestDbError('TESTDB_CONFIG_INVALID', 'server.url (TESTDB_URL) is not a connection string', {
      fixes: [
        'Write it as postgresql://user:password@host:5432/app_test, with special characters percent-encoded.',
        'Run `npx testdb doctor` to see each value and where it came from.',
      ],
    })
  }
}

async function open(admin: ConnectionTarget): Promise<Session> {
  try {
    return await Session.open(admin, { applicationName: 'testdb connect', neutral: true })
  } catch (error) {
    throw new TestDbError(
      'TESTDB_SERVER_UNREACHABLE',
      `no connection to ${describeTarget(admin)}: ${messageOf(error) || 'unknown reason'}`,
      { details: publicParts(admin), cause: error, ...(isUntrusted(error) && { fixes: UNTRUSTED }) },
    )
  }
}

/** The driver checks the certificate with every sslmode but `no-verify`, also with `require`. */
const UNTRUSTED = [
  'Name the certificate of the authority in the URL: `?sslmode=verify-full&sslrootcert=/path/to/ca.pem`.',
  'Or do without the check, on a network that you trust: `?sslmode=no-verify`.',
  'Run `npx testdb doctor` to try the connection again.',
]

/** Node's codes of certificates that it does not accept. */
function isUntrusted(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown }
  return /CERT|UNABLE_TO_VERIFY/.test(String(code))
}

function publicParts({ host, port, user, database }: ConnectionTarget): Record<string, unknown> {
  return { host, port, user, database }
}
