/** What the server lets us do, once connected. Writes nothing. */
import type { ResolvedConfig } from '../../config/config.ts'
import { FORMAT, hasRegistry, readConnectionFacts } from '../../coordination/index.ts'
import { inspectLock, lockHolders } from '../../migrators/heal.ts'
import { describeActivity, ident, type Session } from '../../postgres/index.ts'
import type { Server } from '../../server/server.ts'
import { findLockTable } from '../lock-table.ts'
import { type Check, ok, warning, wrong } from './check.ts'
import { connectionsCheck, needOf, runBudget } from './run-share.ts'

export async function checkInside(session: Session, config: ResolvedConfig, server: Server): Promise<Check[]> {
  const checks = [
    checkRights(server, config),
    connectionsCheck(runBudget(await readConnectionFacts(session), needOf(config))),
  ]
  checks.push(await checkExtensions(session, config), await checkRegistry(session))
  return server.ours ? checks : [...checks, await checkLock(session, config)]
}

function checkRights({ admin, capabilities }: Server, { isolation, role: { superuser } }: ResolvedConfig): Check {
  const { role: name, registryOwner } = capabilities
  if (capabilities.superuser) return ok('rights', `role ${name} is a superuser`)
  if (superuser) {
    return wrong('rights', `role ${name} is no superuser, but role.superuser is true`, 'Remove `role.superuser`.')
  }
  if (!capabilities.registry && registryOwner !== null) {
    const what = `the registry in ${admin.database} belongs to ${registryOwner}, and role ${name} may not use it`
    return wrong('rights', what, `Connect as ${registryOwner}, as all who share this server should.`)
  }
  if (!capabilities.registry) {
    const grant = `grant create on database ${ident(admin.database)} to ${ident(name)}`
    return wrong('rights', `role ${name} may not create the registry in ${admin.database}`, `psql -c '${grant}'`)
  }
  if (isolation === 'schema' && !capabilities.createSchema) {
    const grant = `grant create on database ${ident(admin.database)} to ${ident(name)}`
    return wrong('rights', `role ${name} may not create schemas in ${admin.database}`, `psql -c '${grant}'`)
  }
  if (isolation !== 'database') return ok('rights', `role ${name} may use the registry in ${admin.database}`)
  if (!capabilities.createDatabase) {
    const alter = `alter role ${ident(name)} createdb`
    return wrong('rights', `role ${name} may not create databases`, `psql -c '${alter}'`)
  }
  const limits = capabilities.endSessions === 'none' ? '; it may not end sessions, they are waited for' : ''
  return ok(
    'rights',
    `role ${name} may create databases; tests connect as it too, and \`rows\` is done by \`truncate\`, since it is no superuser${limits}`,
  )
}

async function checkExtensions(session: Session, { extensions }: ResolvedConfig): Promise<Check> {
  const { rows } = await session.query<{ name: string }>('select name from pg_available_extensions order by name')
  const available = rows.map(({ name }) => name)
  const missing = extensions.filter((name) => !available.includes(name))
  const text = `${available.length} extensions available: ${available.join(', ')}`
  if (missing.length === 0) return ok('extensions', text)
  const what = `the server does not have ${missing.join(', ')}; ${text}`
  return wrong('extensions', what, 'Remove them from `extensions`, or use a server that has them (TESTDB_URL).')
}

async function checkRegistry(session: Session): Promise<Check> {
  if (!(await hasRegistry(session))) return ok('registry', 'no registry yet; the first run creates it')
  const { rows } = await session.query<{ version: number }>('select version from testdb.format')
  if (rows[0]?.version === FORMAT) return ok('registry', `registry of format ${FORMAT}`)
  return wrong(
    'registry',
    `the registry was made by another version of testdb (format ${rows[0]?.version}, here ${FORMAT})`,
    'Use one version of testdb for everybody who shares this server.',
    'When no test is running: drop schema testdb cascade',
  )
}

async function checkLock(session: Session, config: ResolvedConfig): Promise<Check> {
  const table = await findLockTable({}, async () => config)
  const { database } = session.target
  const { exists, broken, found } = await inspectLock(session, table)
  if (!exists) return ok('lock', `no table ${table.table} in ${database}`)
  if (!broken) return ok('lock', `${table.table} in ${database} is fine (${found})`)
  const holders = await lockHolders(session)
  if (holders.length === 0)
    return warning('lock', `${table.table} in ${database} is stuck: ${found}`, 'npx testdb reset')
  const who = holders.map(describeActivity).join('; ')
  return warning(
    'lock',
    `${table.table} in ${database} is set (${found}); it could be held by ${who}`,
    'npx testdb status',
  )
}
