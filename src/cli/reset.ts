/**
 * `testdb reset`: heals stuck migration locks, there only where DESIGN 3.5 allows it: the database of `--url`, the one that the
 * configuration names, and databases that the registry says are ours. The rules of healing are in migrators/heal.ts.
 */
import type { ResolvedConfig } from '../config/config.ts'
import { isPostgresUrl, URL_EXPECTED } from '../config/schema.ts'
import { hasRegistry } from '../coordination/index.ts'
import { subscribe } from '../events.ts'
import { parseUrl, type Session } from '../postgres/index.ts'
import { sweep } from '../templates/sweep.ts'
import { WrongUsage } from './arguments.ts'
import { describeError } from './describe-error.ts'
import { type HealRequest, healDatabase } from './heal-database.ts'
import { findLockTable } from './lock-table.ts'
import { healOurDatabases } from './our-databases.ts'
import { type CommonOptions, loadProject, openKnownServer, openSession, printWarnings } from './project.ts'
import type { Terminal } from './terminal.ts'

export interface ResetOptions extends CommonOptions {
  readonly url?: string
  readonly force?: boolean
  readonly all?: boolean
  readonly table?: string
  readonly schema?: string
  /** Seconds. */
  readonly wait: number
}

export async function reset(options: ResetOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  printWaiting(terminal)
  const refused =
    options.url === undefined ? await resetProject(options, terminal) : await resetUrl(options.url, options, terminal)
  for (const error of refused) terminal.err(describeError(error, { stack: process.env.TESTDB_LOG === 'debug' }))
  return refused.length === 0 ? 0 : 1
}

async function resetUrl(url: string, options: ResetOptions, terminal: Terminal): Promise<readonly unknown[]> {
  // The value is never repeated: it has a password in it.
  if (!isPostgresUrl(url)) throw new WrongUsage(`--url: expected ${URL_EXPECTED}`)
  if (options.all) throw new WrongUsage("--all drops what is this project's own and does not go with --url")
  const request = await requestFor(options, () => loadProject(options, { server: { kind: 'url', url } }))
  await using session = await openSession(parseUrl(url))
  return await healDatabase(session, request, terminal)
}

async function resetProject(options: ResetOptions, terminal: Terminal): Promise<readonly unknown[]> {
  const config = await loadProject(options)
  const server = await openKnownServer(config)
  if (server === undefined) {
    terminal.out('The server does not run, and has no data: nothing to heal.')
    return []
  }
  const request = await requestFor(options, async () => config)
  await using session = await openSession(server.admin)
  const registry = await hasRegistry(session)
  if (options.all && registry) await dropIdle(session, config.project, terminal)
  // The maintenance database of a server of ours has no migrations in it.
  const shared = server.ours ? [] : await healDatabase(session, request, terminal)
  const ours = registry ? await healOurDatabases(session, request, terminal) : { refused: [], count: 0 }
  if (server.ours && ours.count === 0) terminal.out('There are no databases on the server: nothing to heal.')
  return [...shared, ...ours.refused]
}

async function requestFor(options: ResetOptions, load: () => Promise<ResolvedConfig>): Promise<HealRequest> {
  const { table, schema, force = false, wait } = options
  return { table: await findLockTable({ table, schema }, load), force, timeoutMs: wait * 1000 }
}

async function dropIdle(session: Session, project: string, terminal: Terminal): Promise<void> {
  const { dropped } = await sweep(session, { retention: { perProject: 0, days: 0 }, project })
  for (const name of dropped) terminal.out(`${name}: dropped`)
}

/** With `--wait`: says once, and again when it becomes serious, for whom. */
function printWaiting(terminal: Terminal): void {
  let said = ''
  subscribe('lock.waiting', ({ table, holders, severity }) => {
    if (said === `${table} ${severity}`) return
    said = `${table} ${severity}`
    const tone = severity === 'info' ? '' : `${severity}: `
    terminal.err(`testdb: ${tone}waiting for the lock of ${table}, held by ${holders.join('; ')}`)
  })
}
