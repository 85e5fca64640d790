/** Tells whether somebody has changed a database's schema, rights or settings since it was cloned. */
import type { Session } from '../../postgres/index.ts'
import { ONE_DATABASE, type Reach } from './reach.ts'

/** Belongs to no schema, and so to whoever has the database for himself. */
const DATABASE_WIDE = `union all
    select concat_ws(' ', 'extension', oid, xmin) from pg_extension
    union all
    select concat_ws(' ', 'event trigger', oid, xmin) from pg_event_trigger
    union all
    select concat_ws(' ', 'default rights', oid, xmin) from pg_default_acl
    union all
    select concat_ws(' ', 'large object', oid) from pg_largeobject_metadata`

/**
 * What the catalog says about the users' own objects, as one text: definitions, owners, rights, settings of the database.
 * DDL is not undone by every reset, and a database that differs from its template may not be handed on as a clean one.
 * Left out: what a reset itself changes (files of tables and sequences), temporary objects, and comments.
 */
export const catalogFunction = ({ home, covers, alone }: Reach): string => `
create function ${home}.read_catalog() returns text language sql set search_path = pg_catalog as $catalog$
  with spaces as (
    select oid from pg_namespace n where ${covers}
  ), relations as (
    select * from pg_class where relnamespace in (select oid from spaces)
  ), parts (part) as (
    select concat_ws(' ', 'schema', oid, xmin) from pg_namespace where oid in (select oid from spaces)
    union all
    select concat_ws(' ', 'relation', oid, relname, relnamespace, relkind, relowner, relpersistence, relrowsecurity,
        relforcerowsecurity, relispartition, relacl, reloptions) from relations
    union all
    select concat_ws(' ', 'column', attrelid, attnum, xmin) from pg_attribute where attrelid in (select oid from relations)
    union all
    select concat_ws(' ', 'default', oid, xmin) from pg_attrdef where adrelid in (select oid from relations)
    union all
    select concat_ws(' ', 'constraint', oid, xmin) from pg_constraint where connamespace in (select oid from spaces)
    union all
    select concat_ws(' ', 'trigger', oid, tgname, tgrelid, tgenabled, tgfoid) from pg_trigger where tgrelid in (select oid from relations)
    union all
    select concat_ws(' ', 'rule', oid, xmin) from pg_rewrite where ev_class in (select oid from relations)
    union all
    select concat_ws(' ', 'policy', oid, xmin) from pg_policy where polrelid in (select oid from relations)
    union all
    select concat_ws(' ', 'routine', oid, xmin) from pg_proc where pronamespace in (select oid from spaces)
    union all
    select concat_ws(' ', 'type', oid, xmin) from pg_type where typnamespace in (select oid from spaces)
    union all
    select concat_ws(' ', 'label', e.oid, e.xmin) from pg_enum e join pg_type t on t.oid = e.enumtypid where t.typnamespace in (select oid from spaces)
    union all
    select concat_ws(' ', 'sequence', seqrelid, seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) from pg_sequence where seqrelid in (select oid from relations)
    ${alone ? DATABASE_WIDE : ''}
  )
  select count(*) || ':' || coalesce(sum(hashtextextended(part, 0)::numeric), 0) from parts
$catalog$;
`

export const CATALOG_FUNCTION = `
create table testdb.catalog (content text not null, settings text not null);
${catalogFunction(ONE_DATABASE)}
-- What belongs to the database itself, which a clone is given anew.
create function testdb.read_settings() returns text language sql set search_path = pg_catalog as $settings$
  select concat_ws(' ', d.datdba, d.datacl, d.datconnlimit, (select string_agg(concat_ws(' ', setrole, setconfig), ',' order by setrole)
    from pg_db_role_setting where setdatabase = d.oid)) from pg_database d where d.datname = current_database()
$settings$;
`

/** The last thing that is installed in a template: its clones have the same objects. */
export async function installCatalog(session: Session): Promise<void> {
  await session.query(`insert into testdb.catalog select testdb.read_catalog(), ''`)
}

/** Remembers the settings of a clone that is fresh; the rest it has from its template. */
export async function rememberSettings(session: Session): Promise<void> {
  await session.query('update testdb.catalog set settings = testdb.read_settings()')
}

/** SQL that is true while nothing has been defined, changed or dropped since; false when the memory of it is gone. */
export const IS_UNCHANGED = `coalesce((select settings = testdb.read_settings() and content = testdb.read_catalog() from testdb.catalog), false)`
