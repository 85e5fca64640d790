/** The complete content of a database, to compare with that of another one. */
import { ident, type Session } from '../../src/postgres/index.ts'

export interface Snapshot {
  /** Rows as text, sorted: their order is not content. */
  readonly tables: Readonly<Record<string, readonly string[]>>
  readonly sequences: Readonly<Record<string, string>>
  /** Triggers and how they are enabled. */
  readonly triggers: readonly string[]
}

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
  return { tables, sequences, triggers: triggers.map(({ trigger }) => trigger) }
}
