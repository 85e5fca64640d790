/** `testdb url`: the connection string of a database (or of a schema that stands for one), with its password, for database tools. */
import { ensureRole, hasRegistry } from '../coordination/index.ts'
import { formatUrl, inSchema } from '../postgres/index.ts'
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
    ? await session.query<{ name: string; schema: boolean }>(
        `select name, false as schema from testdb.databases union all select name, true from testdb.schemas order by name`,
      )
    : { rows: [] }
  const found = rows.find((row) => row.name === name)
  if (!found) {
    const known = rows.map((row) => `  ${row.name}`).join('\n')
    throw new Refusal(
      `There is no database ${name} on ${server.summary}.\n${known === '' ? 'There are none.' : `There are:\n${known}`}`,
    )
  }
  const { user, password } = await ensureRole(session, config.role.superuser || found.schema)
  const target = { ...server.address, ssl: server.address.ssl || undefined, user, password, database: name }
  terminal.out(formatUrl(found.schema ? inSchema({ ...target, database: server.admin.database }, name) : target))
  return 0
}
