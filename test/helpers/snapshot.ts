/** The complete content of a database, to compare with that of another one. */
import { ident, type Session } from '../../src/postgres/index.ts'

export interface Snapshot {
  /** Rows as text, sorted: their order is not content. */
  readonly tables: Readonly<Record<string, readonly string[]>>
  readonly sequences: Readonly<Record<string, string>>
  /** Triggers and how they are enabled. */
  readonly triggers: readonly string[]
  /** Every other object, with what the catalog says of it. */
  readonly objects: readonly string[]
}

/** What changes with the files and the statistics of a relation, or with the number of its rows, is not the schema. Nor is it whether
 * a default is in each row or told for all of them. */
const VOLATILE = `'{relfilenode, relpages, reltuples, relallvisible, relallfrozen, relfrozenxid, relminmxid, relhasindex, relhasrules, relhastriggers, relhassubclass, relispopulated, reltoastrelid}'::text[]`

const OBJECTS = `
  with objects (class, id, said) as (
    select 'pg_class'::regclass, oid, (to_jsonb(c) - ${VOLATILE})::text from pg_class c
    union all select 'pg_class'::regclass, attrelid, (to_jsonb(a) - '{atthasmissing, attmissingval}'::text[])::text from pg_attribute a where attnum > 0
    union all select 'pg_constraint'::regclass, oid, to_jsonb(x)::text from pg_constraint x
    union all select 'pg_type'::regclass, oid, to_jsonb(x)::text from pg_type x
    union all select 'pg_proc'::regclass, oid, to_jsonb(x)::text from pg_proc x
    union all select 'pg_rewrite'::regclass, oid, ev_enabled::text || ' ' || xmin from pg_rewrite x
    union all select 'pg_attrdef'::regclass, oid, pg_get_expr(adbin, adrelid) from pg_attrdef
    union all select 'pg_policy'::regclass, oid, polname || ' ' || xmin from pg_policy
    union all select 'pg_namespace'::regclass, oid, to_jsonb(x)::text from pg_namespace x
    union all select 'pg_extension'::regclass, oid, to_jsonb(x)::text from pg_extension x
    union all select 'pg_statistic_ext'::regclass, oid, stxname || ' ' || xmin from pg_statistic_ext x
    union all select 'pg_operator'::regclass, oid, to_jsonb(x)::text from pg_operator x
    union all select 'pg_foreign_server'::regclass, oid, to_jsonb(x)::text from pg_foreign_server x
    union all select 'pg_foreign_data_wrapper'::regclass, oid, to_jsonb(x)::text from pg_foreign_data_wrapper x
    union all select 'pg_publication'::regclass, oid, to_jsonb(x)::text from pg_publication x
    union all select 'pg_default_acl'::regclass, oid, to_jsonb(x)::text from pg_default_acl x
    union all select 'pg_largeobject_metadata'::regclass, oid, to_jsonb(x)::text from pg_largeobject_metadata x
  ), named as (
    select said, id, class, (pg_identify_object(case class when 'pg_largeobject_metadata'::regclass then 'pg_largeobject'::regclass else class end, id, 0)).* from objects where id >= 16384
  )
  select distinct type || ' ' || coalesce(identity, '') || ': ' || said as object from named
   where (schema is null or schema <> all ($1) and schema !~ '^pg_(toast|temp)') and type <> 'trigger' and identity !~ 'pg_temp' and not (type = 'schema' and identity ~ '^pg_')
     and not exists (select from unnest($1) as e(skipped) where identity ~ ('(^|[ .(])' || skipped || '\\.') or identity = skipped)
   order by 1`

/** Rows of every table and materialized view, and the state of every sequence; `except` names schemas that do not count. */
export async function snapshotDatabase(session: Session, except: readonly string[] = ['testdb']): Promise<Snapshot> {
  const { rows: relations } = await session.query<{ schema: string; name: string; kind: string; populated: boolean }>(
    `select nspname as schema, relname as name, relkind as kind, relispopulated as populated
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where relkind in ('r', 'm', 'S') and relpersistence <> 't' and nspname !~ '^pg_' and nspname <> all ($1)
        and nspname <> 'information_schema' order by 1, 2`,
    [except],
  )
  const tables: Record<string, string[]> = {}
  const sequences: Record<string, string> = {}
  for (const { schema, name, kind, populated } of relations) {
    const place = `${ident(schema)}.${ident(name)}`
    if (kind === 'S') {
      const { rows } = await session.query<{ state: string }>(
        `select last_value || ' ' || is_called as state from ${place}`,
      )
      sequences[place] = rows[0]?.state ?? ''
    } else if (!populated) {
      tables[place] = ['not populated']
    } else {
      const { rows } = await session.query<{ row: string }>(`select t::text as row from only ${place} t order by 1`)
      tables[place] = rows.map(({ row }) => row)
    }
  }
  const { rows: triggers } = await session.query<{ trigger: string }>(
    `select format('%s on %s: %s', tgname, tgrelid::regclass, tgenabled) as trigger from pg_trigger where not tgisinternal order by 1`,
  )
  const { rows: objects } = await session.query<{ object: string }>(OBJECTS, [except])
  return {
    tables,
    sequences,
    triggers: triggers.map(({ trigger }) => trigger),
    objects: objects.map(({ object }) => object),
  }
}
