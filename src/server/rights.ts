/** Compares what a run wants with what the server can do: before it begins, not with the server's own words in the middle of it. */
import { TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { ident } from '../postgres/index.ts'
import type { Server } from './server.ts'

/** What the configuration asks for. */
export interface Wants {
  readonly isolation: string
  readonly role: { readonly superuser: boolean }
  readonly reset: string
}

type Place = Pick<Server, 'admin' | 'capabilities'>

/** Throws TESTDB_RIGHTS_MISSING for what has nothing to take its place. */
export function assertRights({ admin, capabilities }: Place, { isolation, role: { superuser } }: Wants): void {
  const { role } = capabilities
  const name = ident(role)
  if (superuser && !capabilities.superuser) {
    throw missing(admin, 'superuser', `the role "${role}" is no superuser, and \`role.superuser\` asks for one`, [
      'Remove `role.superuser` from the configuration; tests then connect as this role.',
      `Or connect as a superuser, or make it one: ALTER ROLE ${name} SUPERUSER.`,
    ])
  }
  assertRegistry({ admin, capabilities })
  if (!capabilities.registry) {
    const what = `the role "${role}" may not create the schema of the registry in "${admin.database}"`
    throw missing(admin, 'registry', what, [
      `As the database's owner or a superuser: GRANT CREATE ON DATABASE ${ident(admin.database)} TO ${name}.`,
      OWN_DATABASE,
    ])
  }
  if (isolation === 'schema' && !capabilities.createSchema) {
    const what = `the role "${role}" may not create schemas in "${admin.database}", and \`isolation: 'schema'\` gives each worker one`
    throw missing(admin, 'createSchema', what, [
      `As the database's owner or a superuser: GRANT CREATE ON DATABASE ${ident(admin.database)} TO ${name}.`,
      OWN_DATABASE,
    ])
  }
  if (isolation === 'database' && !capabilities.createDatabase) {
    const what = `the role "${role}" may not create databases (CREATEDB), and \`isolation: 'database'\` gives each worker one`
    throw missing(admin, 'createDatabase', what, [
      `As a superuser, or as a role with CREATEROLE that has CREATEDB itself: ALTER ROLE ${name} CREATEDB.`,
      "Or set `isolation: 'schema'`: each worker gets a schema of the one database.",
      "Or set `isolation: 'shared'`: all workers use the one database of the URL.",
    ])
  }
}

const OWN_DATABASE = 'Or give the role a test database of its own and name it in the URL.'

/** Also for those who only look. Throws TESTDB_RIGHTS_MISSING when there is a registry that the role may not use. */
export function assertRegistry({ admin, capabilities }: Place): void {
  const { role, registry, registryOwner } = capabilities
  if (registry || registryOwner === null) return
  const what = `the registry in "${admin.database}" belongs to "${registryOwner}", and "${role}" may not use it`
  throw missing(admin, 'registry', what, [
    `Connect as "${registryOwner}", as all who share this server should.`,
    OWN_DATABASE,
  ])
}

/** One line for what has a substitute, or is done without. */
export function announceMissing({ capabilities }: Place, { isolation, reset }: Wants): void {
  const { role, resetRows, endSessions } = capabilities
  if (isolation !== 'database') return
  const parts = [
    ...(reset === 'rows' && !resetRows
      ? [
          `reset: 'rows' needs a superuser and "${role}" is none, so databases are put back by 'truncate'; set reset: 'truncate' to silence this`,
        ]
      : []),
    ...(endSessions === 'none' && reset !== 'none'
      ? [
          `"${role}" may not end sessions (pg_terminate_backend), so what tests leave connected is waited for, then named`,
        ]
      : []),
  ]
  if (parts.length > 0) publish('warning.raised', { message: parts.join('. ') })
}

function missing(
  { host, port, user, database }: Server['admin'],
  right: string,
  what: string,
  fixes: readonly string[],
): TestDbError {
  return new TestDbError('TESTDB_RIGHTS_MISSING', `${what}, at ${host}:${port}/${database}`, {
    details: { host, port, user, database, right },
    fixes: [...fixes, 'Run `npx testdb doctor` to see what the server and the role can do.'],
  })
}
