/** Deferred constraints are checked by COMMIT; a savepoint that is released checks nothing. */
import type pg from 'pg'

const CONSTRAINTS = `select count(*)::int as some, string_agg(format('%I.%I', n.nspname, c.conname), ', ') filter (where c.condeferred) as deferred
  from pg_constraint c join pg_namespace n on n.oid = c.connamespace
 where c.condeferrable and has_schema_privilege(n.oid, 'usage')`

export class DeferredConstraints {
  #check: string | undefined

  /** After DDL there may be others. */
  forget(): void {
    this.#check = undefined
  }

  /** SQL to put before the end of a transaction, or nothing: it checks, and makes constraints as deferred as they were defined. */
  async check(send: (sql: string) => Promise<pg.QueryResult>): Promise<string> {
    if (this.#check === undefined) {
      const { rows } = await send(CONSTRAINTS)
      const { some, deferred } = rows[0] as { some: number; deferred: string | null }
      const again = deferred ? `set constraints ${deferred} deferred; ` : ''
      this.#check = some > 0 ? `set constraints all immediate; ${again}` : ''
    }
    return this.#check
  }
}
