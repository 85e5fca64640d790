/** CREATE, DROP and facts about schemas that stand for databases: names of ours, so they need no quotes but get them. */
import { type Activity, waitUntilGone } from './activity.ts'
import { ident } from './identifiers.ts'
import type { Session } from './session.ts'
import { isSqlState } from './sqlstate.ts'
import type { ConnectionTarget } from './target.ts'

/** What stays behind the schema in the search path: extensions live there, and what the project shares on purpose. */
export const COMMON_SCHEMA = 'public'

/** Where what testdb keeps about a schema lies: its copies of rows, and the functions that put them back. */
export const companionOf = (schema: string): string => `${schema}_copy`

/** The name that sessions of the schema's users have, unless they say another one themselves. */
export const schemaApplication = (schema: string): string => `testdb:${schema}`

/** By these other tools are told a schema. */
const SCHEMA_PARAMETERS = ['schema', 'currentSchema', 'search_path', 'searchpath']

/** The target whose sessions work in that schema, whatever driver opens them. What the user's URL sets besides stays. */
export function inSchema(target: ConnectionTarget, schema: string): ConnectionTarget {
  const { options, ...parameters }: Record<string, string> = { ...target.parameters }
  const own = `-c search_path=${schema},${COMMON_SCHEMA} -c application_name=${schemaApplication(schema)}`
  for (const name of SCHEMA_PARAMETERS) if (name in parameters) parameters[name] = schema
  // The last one counts.
  return { ...target, parameters, options: [target.options ?? options, own].filter(Boolean).join(' ') }
}

/** The user's own settings with ours. A process that had a schema before still has that one's in its environment. */
export function joinOptions(present: string | undefined, own: string): string {
  const users = (present ?? '').replace(/-c search_path=testdb_\S+ -c application_name=testdb:\S+/g, '').trim()
  return own.startsWith(users) ? own : `${users} ${own}`
}

export async function schemaExists(session: Session, name: string): Promise<boolean> {
  const { rowCount } = await session.query('select from pg_namespace where nspname = $1', [name])
  return rowCount === 1
}

/** Sessions of our own role that are at work in the schema: in a transaction that has touched its relations, or busy under its name. */
const AT_WORK = `
  select distinct a.pid, a.backend_start::text as start, a.application_name as "applicationName", a.usename as "user",
         a.datname as "database", a.state, left(a.query, 200) as query,
         extract(epoch from now() - a.backend_start)::float as "ageSeconds"
    from pg_stat_activity a
   where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
     and a.usename = current_user
     and (a.application_name = $2 and a.state <> 'idle'
       or exists (select from pg_locks l join pg_class c on c.oid = l.relation
                   where l.pid = a.pid and l.locktype = 'relation' and l.database = a.datid
                     and c.relnamespace = (select oid from pg_namespace where nspname = $1)))`

/** Ends what still works in the schema and waits until it is gone; says who that was. */
export async function endSchemaWork(session: Session, schema: string): Promise<Activity[]> {
  const { rows } = await session.query<Activity & { start: string }>(
    `select *, pg_terminate_backend(pid) from (${AT_WORK}) busy`,
    [schema, schemaApplication(schema)],
  )
  if (rows.length > 0) await waitUntilGone(session, session.target.database, rows)
  return rows
}

/** How many tables one statement drops: each needs locks, and a server has room for so many of them. */
const AT_ONCE = 100
/** Work of a client that begins again and again. */
const ROUNDS = 5

/**
 * Drops the schema with all that is in it, if it is there. Throws what the server throws when somebody holds on to it.
 * If the process dies in between, a part of its tables is gone.
 */
export async function removeSchema(session: Session, name: string): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      while (await dropTables(session, name));
      await session.batch(`set local lock_timeout = '2s'; drop schema if exists ${ident(name)} cascade`)
      return
    } catch (error) {
      if (round === ROUNDS || !isSqlState(error, 'lockNotAvailable', 'deadlockDetected')) throw error
      await endSchemaWork(session, name)
    }
  }
}

async function dropTables(session: Session, schema: string): Promise<boolean> {
  const { rows } = await session.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition limit ${AT_ONCE + 1}`,
    [schema],
  )
  // A few go with their schema.
  if (rows.length <= AT_ONCE) return false
  const names = rows.map(({ name }) => name).join(', ')
  await session.batch(`set local lock_timeout = '2s'; drop table ${names} cascade`)
  return true
}

/**
 * What lies outside of the schema and would go with it: views and tables that refer to what is inside, and extensions that were
 * created in it, which the whole database shares. As the server describes them.
 */
export async function dependentsOf(session: Session, schema: string): Promise<string[]> {
  const { rows } = await session.query<{ what: string }>(
    `with space as (select oid from pg_namespace where nspname = $1),
     inside as (
       select 'pg_class'::regclass as class, oid from pg_class where relnamespace = (select oid from space)
       union all select 'pg_proc'::regclass, oid from pg_proc where pronamespace = (select oid from space)
       union all select 'pg_type'::regclass, oid from pg_type where typnamespace = (select oid from space)
     ), outside as (
       select d.classid, d.objid, coalesce(
           (select relnamespace from pg_class where d.classid = 'pg_class'::regclass and oid = d.objid),
           (select pronamespace from pg_proc where d.classid = 'pg_proc'::regclass and oid = d.objid),
           (select connamespace from pg_constraint where d.classid = 'pg_constraint'::regclass and oid = d.objid),
           (select relnamespace from pg_class c join pg_rewrite r on r.ev_class = c.oid where d.classid = 'pg_rewrite'::regclass and r.oid = d.objid),
           (select relnamespace from pg_class c join pg_attrdef a on a.adrelid = c.oid where d.classid = 'pg_attrdef'::regclass and a.oid = d.objid),
           (select relnamespace from pg_class c join pg_trigger t on t.tgrelid = c.oid where d.classid = 'pg_trigger'::regclass and t.oid = d.objid)
         ) as space
         from pg_depend d join inside i on i.class = d.refclassid and i.oid = d.refobjid where d.deptype in ('n', 'a')
     )
     select distinct pg_describe_object(classid, objid, 0) as what from outside where space <> (select oid from space)
     union
     select 'extension ' || extname from pg_extension where extnamespace = (select oid from space)
     order by 1`,
    [schema],
  )
  return rows.map(({ what }) => what)
}
