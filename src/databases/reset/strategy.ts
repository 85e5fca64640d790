/** The contract of the ways to put a database back. */
import type { Activity, Session } from '../../postgres/index.ts'

export type ResetName = 'rows' | 'truncate' | 'rollback' | 'clone' | 'none'

/** What happens when a test has changed the schema and sessions are in the way of a fresh clone. */
export type OnDdl = 'defer' | 'recreate'

/** A database that this process leases, as a strategy sees it. */
export interface Resettable {
  readonly name: string
  /** The lease's session, as the admin. Another one after `replace()`. */
  readonly session: Session
  /** Ends the sessions that are at work in it, and says which these were. */
  endWork(): Promise<readonly Activity[]>
  /** Puts a fresh clone of the same name in its place; ends every other session on it. */
  replace(): Promise<void>
  /** Notes that the schema differs from the template's; the database is replaced as soon as that disturbs nobody. */
  outdate(changes: string, after: string | undefined): Promise<void>
}

export interface InstallOptions {
  /** Tables that a reset must leave alone: the migrators' own. */
  readonly bookkeeping: readonly { readonly schema?: string | undefined; readonly table: string }[]
}

/** The first step of a reset, done: see begun.ts. */
export interface Begun {
  /** What the server has answered to the strategy's `statement`. */
  readonly outcome: unknown
  readonly durationMs: number
}

export interface ResetOptions {
  /** The test that has just ended, for messages. */
  readonly after: string | undefined
  /** `statement` was asked already. */
  readonly begun?: Begun | undefined
}

/** States above the template's that `reset` returns to; level 0 is the template. */
export interface Checkpoints {
  /** Remembers the present state; gives its level, or null when nothing has changed since the last one. */
  push(database: Resettable, after: string | undefined): Promise<number | null>
  /** Forgets the levels above `level`. A reset must follow. */
  pop(database: Resettable, level: number, after: string | undefined): Promise<void>
}

/** What a test has changed in one table. */
export interface TableChanges {
  /** Qualified, as SQL writes it. */
  readonly table: string
  readonly added: number
  readonly removed: number
  readonly changed: number
  /** Some of them. */
  readonly rows: {
    readonly added: readonly Row[]
    readonly removed: readonly Row[]
    readonly changed: readonly { readonly before: Row; readonly now: Row }[]
  }
}

export type Row = Readonly<Record<string, unknown>>

export interface ResetStrategy {
  readonly name: ResetName
  /** Functions and tables that the template carries beside the lease. A part of its hash: equal texts mean equal templates. */
  readonly sql: string
  /** Fills them, in the migrated database before it is sealed, as the admin. */
  install?(session: Session, options: InstallOptions): Promise<void>
  /** What `reset` asks first, a query of one row; undefined where that is more than one. */
  readonly statement?: string
  /** Puts the database back to the migrated state. Throws what the server throws; the caller then replaces the database. */
  reset(database: Resettable, options: ResetOptions): Promise<void>
  /** Runs in a clone of a template that went through a crash of the server, before a reset: unlogged tables are empty. */
  recover?(session: Session): Promise<void>
  /** Undefined: a reset always returns to the template. */
  readonly checkpoints?: Checkpoints
  /** What differs from the state that a reset returns to; `cap` rows of each kind and table at most. */
  changes?(session: Session, cap: number): Promise<TableChanges[]>
  /** SQL that is true while nobody has written since the last reset; undefined where only a reset tells. */
  readonly untouched?: string
  /** Asks for the tables that were written to since the last reset, one `table` a row; undefined where nothing tells. */
  readonly writtenTables?: string
  /** True when a database that was reset equals its template, so that a later run may take it. */
  readonly leavesClean: boolean
}
