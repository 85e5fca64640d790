import { createDatabase, ident, type Session, withSession } from '../../src/postgres/index.ts'
import { type Snapshot, snapshotDatabase } from '../helpers/snapshot.ts'

export interface Content extends Snapshot {
  /** Definitions, owners and rights; no object ids, which differ from build to build. */
  readonly catalog: readonly string[]
  /** Nobody can connect to it, and it belongs to the admin. */
  readonly sealed: boolean
}

const CATALOG = `
with spaces as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
select format('schema %s of %s: %s', nspname, nspowner::regrole, nspacl) as line from pg_namespace where oid in (select oid from spaces)
union all
select format('%s %s.%s of %s, persistence %s, options %s: %s', relkind, nspname, relname, relowner::regrole, relpersistence, reloptions, relacl)
  from pg_class join spaces on spaces.oid = relnamespace
union all
select format('column %s.%s %s: %s, not null %s, default %s', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod),
         attnotnull, pg_get_expr(adbin, adrelid))
  from pg_attribute join pg_class c on c.oid = attrelid join spaces on spaces.oid = relnamespace
  left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0 and relkind in ('r', 'v', 'm', 'p')
union all
select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(pg_constraint.oid))
  from pg_constraint join spaces on spaces.oid = connamespace
union all
select pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indexrelid join spaces on spaces.oid = relnamespace
union all
select pg_get_functiondef(pg_proc.oid) from pg_proc join spaces on spaces.oid = pronamespace where prokind = 'f'
union all
select format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid)) from pg_class c join spaces on spaces.oid = relnamespace
 where relkind in ('v', 'm')
union all
select format('extension %s %s of %s', extname, extversion, extowner::regrole) from pg_extension
order by 1`

/** Looks at the template through a clone, because nobody can connect to the template itself. */
export async function contentOf(session: Session, template: string): Promise<Content> {
  const { rows } = await session.query<{ sealed: boolean }>(
    `select datistemplate and not datallowconn and datdba = 'postgres'::regrole as sealed from pg_database where datname = $1`,
    [template],
  )
  const copy = `content_of_${template}`.slice(0, 63)
  await createDatabase(session, copy, { template, owner: 'postgres' })
  try {
    return await withSession({ ...session.target, database: copy }, { applicationName: 'test' }, async (inside) => {
      const catalog = await inside.query<{ line: string }>(CATALOG)
      return {
        ...comparable(await snapshotDatabase(inside, [])),
        catalog: catalog.rows.map(({ line }) => (line.includes('testdb') ? withoutIds(line) : line)).sort(),
        sealed: rows[0]?.sealed === true,
      }
    })
  } finally {
    await session.query(`drop database ${ident(copy)} with (force)`)
  }
}

/** What testdb installs knows tables by their object ids, and remembers transaction ids: both differ from build to build. */
const withoutIds = (text: string): string => text.replace(/(?<![\w.])\d{3,}|(?<=copy_)\d+/g, '#')

function comparable({ tables, sequences, triggers }: Snapshot): Snapshot {
  const places = Object.entries(tables).map(([place, rows]) => {
    const ours = place.startsWith('"testdb".')
    return [ours ? withoutIds(place) : place, ours ? rows.map(withoutIds).sort() : rows] as const
  })
  // Copies have the same name without their ids.
  const named = places.map(([place, rows]) =>
    place.endsWith('#"') ? [`${place} ${rows.join()}`, rows] : [place, rows],
  )
  return {
    tables: Object.fromEntries(named) as Snapshot['tables'],
    sequences,
    triggers: triggers.map(withoutIds).sort(),
    // Nearly all of it is ids.
    objects: [],
  }
}
