/** What a server and the role that testdb connects as can do: measured once, in one query, and changed by nothing of ours. */
import type { Session } from '../postgres/index.ts'

export interface Capabilities {
  /** The role all of this is about. */
  readonly role: string
  readonly superuser: boolean
  /** CREATE DATABASE, which `isolation: 'database'` needs. */
  readonly createDatabase: boolean
  /** CREATE on the maintenance database, which `isolation: 'schema'` needs. */
  readonly createSchema: boolean
  /** May make the registry in the maintenance database, or use the one that is there. */
  readonly registry: boolean
  /** Who made the registry that is there. */
  readonly registryOwner: string | null
  /** Tests connect as a role without rights of its own, so that limits bind them; else they connect as the role itself. */
  readonly testRole: boolean
  /** `reset: 'rows'`: event triggers, and `session_replication_role`. */
  readonly resetRows: boolean
  /** Whose sessions it may end: everybody's, those of its own role, nobody's. */
  readonly endSessions: 'all' | 'own' | 'none'
  /** Sees what other roles' sessions do. */
  readonly seeSessions: boolean
}

/** A superuser of a server that is ours. */
export const superuserOf = (role: string): Capabilities => ({
  role,
  superuser: true,
  createDatabase: true,
  createSchema: true,
  registry: true,
  registryOwner: null,
  testRole: true,
  resetRows: true,
  endSessions: 'all',
  seeSessions: true,
})

/** Asks the maintenance database; writes nothing. `session_user`: coordination lays down a role that the login took on. */
export async function measureCapabilities(session: Session): Promise<Capabilities> {
  const { rows } = await session.query<Capabilities>(
    `select r.rolname as role, r.rolsuper as superuser, r.rolsuper or r.rolcreatedb as "createDatabase",
            has_database_privilege(r.oid, current_database(), 'create') as "createSchema",
            r.rolsuper as "testRole", r.rolsuper as "resetRows",
            case when n.oid is null then has_database_privilege(r.oid, current_database(), 'create')
                 else pg_has_role(r.oid, n.nspowner, 'usage') end as registry,
            pg_get_userbyid(n.nspowner) as "registryOwner",
            case when not has_function_privilege(r.oid, 'pg_terminate_backend(int, bigint)', 'execute') then 'none'
                 when r.rolsuper then 'all'
                 when pg_has_role(r.oid, 'pg_signal_backend', 'usage') then 'all'
                 else 'own' end as "endSessions",
            r.rolsuper or pg_has_role(r.oid, 'pg_read_all_stats', 'usage') as "seeSessions"
       from pg_roles r left join pg_namespace n on n.nspname = 'testdb' where r.rolname = session_user`,
  )
  const [found] = rows
  if (!found) throw new Error('bug: the role of the session is not in pg_roles')
  return found
}
