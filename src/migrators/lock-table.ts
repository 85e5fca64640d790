/** Knex's lock table: its name, its state, and who could be holding the lock. Reads only; healing is in heal.ts. */
import { type Activity, qualified, type Session } from '../postgres/index.ts'
import type { TableName } from './migrator.ts'

export const KNEX_TABLE = 'knex_migrations'

/** Knex's rule for the name. */
export function lockTableName(tableName: string = KNEX_TABLE): string {
  return `${tableName}_lock`
}

export interface LockState {
  readonly exists: boolean
  readonly rows: number
  /** Rows whose is_locked is not 0. */
  readonly locked: number
  readonly broken: boolean
  /** For people: `is_locked = 1`, `2 rows`, `no row`. */
  readonly found: string
}

export async function inspectLock(session: Session, table: TableName): Promise<LockState> {
  const name = await resolveLockTable(session, table)
  if (name === undefined) return { exists: false, rows: 0, locked: 0, broken: false, found: 'no table' }
  const { rows: values } = await session.query<{ is_locked: number | null }>(`select is_locked from ${name}`)
  const locked = values.filter((row) => row.is_locked !== 0).length
  const rows = values.length
  return { exists: true, rows, locked, broken: rows !== 1 || locked > 0, found: describe(values) }
}

function describe(values: readonly { readonly is_locked: number | null }[]): string {
  if (values.length === 0) return 'no row'
  return values.length === 1 ? `is_locked = ${values[0]?.is_locked}` : `${values.length} rows`
}

/** The quoted name, or undefined when there is no such table. Without a schema: the visible one, else the only one. */
export async function resolveLockTable(session: Session, { schema, table }: TableName): Promise<string | undefined> {
  const { rows } = await session.query<{ schema: string; visible: boolean }>(
    `select n.nspname as schema, pg_table_is_visible(c.oid) as visible
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relname = $1 and c.relkind in ('r', 'p') and ($2::text is null or n.nspname = $2)
        and exists (select from pg_attribute where attrelid = c.oid and attname = 'is_locked' and not attisdropped)`,
    [table, schema ?? null],
  )
  const chosen = schema === undefined ? (rows.find((row) => row.visible) ?? only(rows)) : rows[0]
  return chosen && qualified(chosen.schema, table)
}

const only = <T>(all: readonly T[]): T | undefined => (all.length === 1 ? all[0] : undefined)

/** A migration may compute this long between two statements (ms). */
export const IDLE_COUNTS_MS = 60_000

/** testdb's own sessions that never migrate: those that coordinate, listen for tests, or watch. */
const NEVER_MIGRATES = '^testdb (coordination$|watch$|listen:)'

/** The sessions of this database that could hold the lock. A foreign session whose state we may not see could. */
export async function lockHolders(session: Session, idleCountsMs: number = IDLE_COUNTS_MS): Promise<Activity[]> {
  const { rows } = await session.query<Activity>(
    `select pid, application_name as "applicationName", usename as "user", datname as "database", state,
            left(query, 200) as query, extract(epoch from clock_timestamp() - backend_start)::float as "ageSeconds"
       from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()
        and (backend_type = 'client backend' or backend_type is null and usename is not null)
        and (application_name ~ $1) is not true
        and (state is distinct from 'idle' or clock_timestamp() - state_change < $2::float * interval '1 millisecond')
      order by backend_start`,
    [NEVER_MIGRATES, idleCountsMs],
  )
  return rows
}
