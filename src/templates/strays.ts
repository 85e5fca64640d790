/**
 * What migrations have made outside of the schema that they were to fill: they say `public.` somewhere, or create a schema of their
 * own. It is there once, so all schemas would share it.
 *
 * Only what belongs to our own role and was not there before counts. What was found once is remembered until it is gone, with the
 * hash of those migrations: one that says `if not exists` makes nothing the second time, and means the same. Other projects in the
 * database are not blamed for it.
 */
import { TestDbError } from '../errors.ts'
import { companionOf, type Session } from '../postgres/index.ts'

/** Objects of our role in schemas that are neither the server's nor ours, without what belongs to extensions or to other objects. */
const OUTSIDE = `
  with spaces as (
    select n.oid, n.nspname, n.nspowner from pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'testdb')
       and not exists (select from testdb.schemas s where n.nspname in (s.name, s.name || '${companionOf('')}'))
  ), objects (object, class, owner) as (
    select oid, 'pg_namespace'::regclass, nspowner from spaces
    union all
    select c.oid, 'pg_class'::regclass, c.relowner from pg_class c where c.relnamespace in (select oid from spaces) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select p.oid, 'pg_proc'::regclass, p.proowner from pg_proc p where p.pronamespace in (select oid from spaces)
    union all
    select t.oid, 'pg_type'::regclass, t.typowner from pg_type t where t.typnamespace in (select oid from spaces)
       and t.typtype in ('e', 'd', 'r', 'b') and t.typcategory <> 'A'
  ) select object, pg_describe_object(class, object, 0) as what from objects o
     where pg_get_userbyid(owner) = current_user
       and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.object and d.deptype in ('e', 'i', 'a'))`

/** What is outside before migrations begin, but for what the same ones have left there before. */
export async function lookOutside(session: Session, hash: string): Promise<ReadonlySet<number>> {
  const { rows } = await session.query<{ object: number }>(
    `select object from (${OUTSIDE}) o where object not in (select object from testdb.strays where hash = $1)`,
    [hash],
  )
  return new Set(rows.map(({ object }) => object))
}

/** Throws `TESTDB_SCHEMA_ESCAPED`. */
export async function assertInside(
  session: Session,
  { name: schema, hash }: { readonly name: string; readonly hash: string },
  before: ReadonlySet<number>,
): Promise<void> {
  const { rows } = await session.query<{ object: number; what: string }>(`${OUTSIDE} order by 2`)
  const strays = rows.filter(({ object }) => !before.has(object))
  await session.query(
    `with gone as (delete from testdb.strays where hash = $2 and object <> all ($1::oid[]))
     insert into testdb.strays select unnest($1::oid[]), $2 on conflict do nothing`,
    [strays.map(({ object }) => object), hash],
  )
  const extensions = await session.query<{ what: string }>(
    `select 'extension ' || extname as what from pg_extension e join pg_namespace n on n.oid = e.extnamespace where n.nspname = $1`,
    [schema],
  )
  const made = [
    ...strays.map(({ what }) => `${what} outside of it`),
    ...extensions.rows.map(({ what }) => `${what} in it, which the whole database has only once`),
  ]
  if (made.length === 0) return
  const list = made.length > LISTED ? [...made.slice(0, LISTED), `and ${made.length - LISTED} more`] : made
  throw new TestDbError(
    'TESTDB_SCHEMA_ESCAPED',
    `the migrations of the schema ${schema} have made ${list.join(', ')} (or somebody else has, as the same role, at the same time)`,
    { details: { schema, objects: made } },
  )
}

const LISTED = 20

/** A role without rights in `public` learns of a hard-coded name by an error of the server. */
export function escaped(schema: string, error: unknown): unknown {
  if (!(error instanceof TestDbError) || error.details.sqlstate !== '42501') return error
  if (!/schema "?public"?/.test(error.what)) return error
  const what = `the migrations of the schema ${schema} want to make something in the schema public.\n${error.what}`
  return new TestDbError('TESTDB_SCHEMA_ESCAPED', what, { details: { ...error.details, schema }, cause: error })
}
