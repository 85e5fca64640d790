/**
 * The complete content of a database as a few hashes, read in one round trip: a comparison after every case that is as complete
 * as `snapshotDatabase` and costs milliseconds. Which part differs is said by its name, and the snapshot says the rest.
 */
import { ident, type Session } from '../../../src/postgres/index.ts'
import { type Snapshot, snapshotDatabase } from '../../helpers/snapshot.ts'

export interface Fingerprint {
  /** The query that gives the hashes of these relations. */
  readonly sql: string
  readonly hashes: Readonly<Record<string, string>>
  /** Only where there are few cases, because it costs more than all the rest. */
  readonly snapshot: Snapshot | undefined
}

const hash = (text: string): string => `count(*) || ':' || coalesce(sum(hashtextextended(${text}, 0)::numeric), 0)`

/** As tests without ORDER BY see the rows. Not kept where they take more than a page, or a trigger or rule has to be switched off. */
const order = (table: string): string =>
  `case when count(*) <= 100 and exists (select from testdb.writers join testdb.tables using (rel) where rel = '${table}'::regclass and pages <= 1) then md5(string_agg((x.*)::text, ',')) end`

const part = (what: string, text: string, from: string): string => `select '${what}', ${hash(text)} from ${from}`

/** The oids of all that is not the server's own; by its index this is much faster than by the schema. */
const USERS = '>= 16384'

/** What changes with files, statistics or the number of rows is not the schema. */
const VOLATILE =
  "'{relfilenode, relpages, reltuples, relallvisible, relallfrozen, relfrozenxid, relminmxid, relhasindex, relhasrules, relhastriggers, relhassubclass, reltoastrelid}'::text[]"

const OWN = [
  'pg_extension',
  'pg_operator',
  'pg_foreign_server',
  'pg_foreign_data_wrapper',
  'pg_publication',
  'pg_default_acl',
  'pg_cast',
  'pg_collation',
  'pg_event_trigger',
  'pg_ts_config',
  'pg_ts_dict',
  'pg_opclass',
  'pg_opfamily',
  'pg_conversion',
  'pg_language',
]

const CATALOG = [
  part('pg_class', `(to_jsonb(x) - ${VOLATILE})::text`, 'relations x'),
  // The default of a column that was added later is in each row when the table has been written anew.
  part(
    'pg_attribute',
    `(to_jsonb(x) - '{atthasmissing, attmissingval}'::text[])::text`,
    `pg_attribute x where attrelid ${USERS} and attrelid in (select oid from relations)`,
  ),
  ...(
    [
      ['pg_attrdef', 'adrelid in (select oid from relations)'],
      ['pg_constraint', `oid ${USERS} and connamespace in (select oid from spaces)`],
      ['pg_index', `indrelid ${USERS} and indrelid in (select oid from relations)`],
      ['pg_inherits', 'inhrelid in (select oid from relations)'],
      ['pg_trigger', `tgrelid ${USERS} and tgrelid in (select oid from relations)`],
      ['pg_rewrite', `ev_class ${USERS} and ev_class in (select oid from relations)`],
      ['pg_policy', 'polrelid in (select oid from relations)'],
      ['pg_sequence', 'seqrelid in (select oid from relations)'],
      ['pg_statistic_ext', 'stxrelid in (select oid from relations)'],
      ['pg_type', `oid ${USERS} and typnamespace in (select oid from spaces)`],
      ['pg_proc', `oid ${USERS} and pronamespace in (select oid from spaces)`],
      ['pg_namespace', 'oid in (select oid from spaces)'],
      ['pg_enum', 'true'],
      ['pg_partitioned_table', 'partrelid in (select oid from relations)'],
      ['pg_description', `objoid ${USERS}`],
      ['pg_largeobject_metadata', 'true'],
      ['pg_largeobject', 'true'],
    ] as const
  ).map(([name, where]) => part(name, 'x::text', `${name} x where ${where}`)),
  ...OWN.map((name) => part(name, 'x::text', `${name} x where oid ${USERS}`)),
].join('\n union all ')

/** What the template remembers of itself: a later reset would go wrong when this does. */
const MEMORY = [
  ...[
    'tables',
    'lines',
    'sequences',
    'state',
    'tables_below',
    'sequences_below',
    'views_below',
    'known_above',
    'dirty',
    'ddl',
  ].map((name) => part(`testdb.${name}`, 'x::text', `testdb.${name} x`)),
  part('testdb.views', '(to_jsonb(x) - $$touched$$::text)::text', 'testdb.views x'),
  `select 'testdb.known', count(*) || ' ' || sum(objid::bigint) || ' ' || sum(classid::bigint) from testdb.known`,
  part('relations of testdb', 'relname', `pg_class where relnamespace = 'testdb'::regnamespace and relkind = 'r'`),
].join('\n union all ')

async function queryOf(session: Session, memory: boolean): Promise<string> {
  const { rows } = await session.query<{ schema: string; name: string; kind: string }>(
    `select nspname as schema, relname as name, relkind as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where relkind in ('r', 'm', 'S') and relpersistence <> 't' and (nspname !~ '^pg_' and nspname not in ('information_schema', 'testdb') and relispopulated
        or $1 and nspname = 'testdb' and relname ~ '^keys_')`,
    [memory],
  )
  const relations = rows.map(({ schema, name, kind }) => {
    const place = `${ident(schema)}.${ident(name)}`
    const what = place.replaceAll("'", "''")
    return kind === 'S'
      ? `select '${what}', last_value || ' ' || is_called from ${place}`
      : `${part(what, '(x.*)::text', `only ${place} x`)} union all select 'order of ${what}', ${order(what)} from only ${place} x`
  })
  return `with spaces as materialized (select oid from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'testdb')),
    relations as materialized (select * from pg_class where oid ${USERS} and relnamespace in (select oid from spaces)),
    parts (what, said) as (${[CATALOG, ...(memory ? [MEMORY] : []), ...relations].join('\n union all ')})
    select jsonb_object_agg(what, said) as hashes from parts`
}

async function hashesOf(session: Session, sql: string): Promise<Record<string, string>> {
  const { rows } = await session.query<{ hashes: Record<string, string> }>(sql)
  return rows[0]?.hashes ?? {}
}

/** `memory`: also what the template remembers; only a state without checkpoints has to have that again. */
export async function takeFingerprint(session: Session, memory: boolean, detailed: boolean): Promise<Fingerprint> {
  const sql = await queryOf(session, memory)
  const hashes = await hashesOf(session, sql)
  return { sql, hashes, snapshot: detailed ? await snapshotDatabase(session) : undefined }
}

const prepared = new WeakMap<Session, Map<string, string>>()

/** Planning so many relations takes as long as reading them. */
async function preparedIn(session: Session, sql: string): Promise<string> {
  const known = prepared.get(session) ?? new Map<string, string>()
  prepared.set(session, known)
  const name = known.get(sql) ?? `fingerprint_${known.size}`
  if (!known.has(sql)) {
    await session.query(`prepare ${name} as ${sql}`)
    known.set(sql, name)
  }
  return `execute ${name}`
}

/** Names of the parts that differ. */
export async function differences(session: Session, { sql, hashes }: Fingerprint): Promise<string[]> {
  try {
    const now = await hashesOf(session, await preparedIn(session, sql))
    return Object.keys(hashes).filter((what) => hashes[what] !== now[what])
  } catch (error) {
    // A relation that it names is gone.
    return [String(error)]
  }
}
