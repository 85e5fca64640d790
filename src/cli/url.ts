/** `testdb url`: the connection string of a database, with its password, for database tools. */
import { ensureRole, hasRegistry } from '../coordination/index.ts'
import { formatUrl } from '../postgres/index.ts'
import { Refusal } from './describe-error.ts'
import { type CommonOptions, loadProject, openKnownServer, openSession, printWarnings } from './project.ts'
import type { Terminal } from './terminal.ts'

export async function url(name: string, options: CommonOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const config = await loadProject(options)
  const server = await openKnownServer(config)
  if (server === undefined) throw new Refusal('The server does not run, and has no data: there are no databases.')
  await using session = await openSession(server.admin)
  const { rows } = (await hasRegistry(session))
    ? await session.query<{ name: string }>('select name from testdb.databases order by id')
    : { rows: [] }
  if (!rows.some((row) => row.name === name)) {
    const known = rows.map((row) => `  ${row.name}`).join('\n')
    throw new Refusal(
      `There is no database ${name} on ${server.summary}.\n${known === '' ? 'There are none.' : `There are:\n${known}`}`,
    )
  }
  const { user, password } = await ensureRole(session, config.role.superuser)
  terminal.out(formatUrl({ ...server.address, ssl: server.address.ssl || undefined, user, password, database: name }))
  return 0
}
