/** The contract of the ways to put a database back. */
import type { Session } from '../../postgres/index.ts'

export type ResetName = 'truncate' | 'clone' | 'none'

/** A database that this process leases, as a strategy sees it. */
export interface Resettable {
  readonly name: string
  /** The lease's session, as the admin. Another one after `replace()`. */
  readonly session: Session
  /** Puts a fresh clone of the same name in its place; ends every other session on it. */
  replace(): Promise<void>
}

export interface InstallOptions {
  /** Tables that a reset must leave alone: the migrators' own. */
  readonly bookkeeping: readonly { readonly schema?: string | undefined; readonly table: string }[]
}

export interface ResetStrategy {
  readonly name: ResetName
  /** Names what `install` puts into the template beside the lease; equal names mean equal templates. */
  readonly installs: 'copies' | 'lease'
  /** Runs in the migrated database before it is sealed, as the admin. */
  install(session: Session, options: InstallOptions): Promise<void>
  /** Puts the database back to the migrated state. Throws what the server throws; the caller then replaces the database. */
  reset(database: Resettable): Promise<void>
  /** True when a database that was reset equals its template, so that a later run may take it. */
  readonly leavesClean: boolean
}
