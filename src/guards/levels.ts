/** The guards by their keys in the configuration, and what each does when it finds something. */

/** `error`: the test, or the file, fails. `warn`: it is said once, and counted. */
export type GuardLevel = 'error' | 'warn' | 'off'

export const DEFAULT_GUARDS = {
  /** A session that sits in a transaction when the test has ended. */
  idleInTransaction: 'error',
  /** A session-level advisory lock that is still held. */
  advisoryLock: 'error',
  /** A client that was taken from a pool and not given back, at the end of the file. */
  checkedOutClient: 'error',
  /** A connection was refused because there are too many. */
  connectionLimit: 'error',
  /** A write after the test had ended. */
  lateWrite: 'warn',
  /** Several pools of one origin to one database: an engine that was made twice. */
  severalPools: 'warn',
  /** A pool that nobody has closed, at the end of the file, in a process that runs further files. */
  openPool: 'warn',
  /** Roles or databases that a test has made and left. */
  outsideObjects: 'warn',
  /** The file has tests and none of them used the database of their worker. */
  unusedDatabase: 'warn',
  /** A connection to another Postgres server than the run's. */
  otherServer: 'warn',
} as const satisfies Record<string, GuardLevel>

export type GuardName = keyof typeof DEFAULT_GUARDS | 'manyQueries'

/** More statements in one test than that: the N+1 finder. */
export interface QueryLimit {
  /** Statements. */
  readonly max: number
  readonly level: GuardLevel
}

/** The configuration key `guards`. */
export type GuardsConfig = { readonly [G in keyof typeof DEFAULT_GUARDS]?: GuardLevel } & {
  /** @default off */
  readonly manyQueries?: { readonly max: number; readonly level?: GuardLevel } | 'off'
}

/** The same with every default filled in. */
export type GuardLevels = { readonly [G in keyof typeof DEFAULT_GUARDS]: GuardLevel } & {
  readonly manyQueries: QueryLimit | undefined
}
