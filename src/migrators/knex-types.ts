/** The parts of Knex that we touch, written down here because its types are only there when the user has installed it. */

export interface KnexFolderOptions {
  readonly directory?: string | readonly string[]
  readonly sortDirsSeparately?: boolean
  readonly loadExtensions?: readonly string[]
}

export interface KnexMigrationsOptions extends KnexFolderOptions {
  readonly tableName?: string
  readonly schemaName?: string
  readonly disableTransactions?: boolean
  readonly disableMigrationsListValidation?: boolean
  readonly migrationSource?: KnexMigrationSource
  readonly [hook: string]: unknown
}

export interface KnexSeedsOptions extends KnexFolderOptions {
  readonly specific?: string | null
  readonly recursive?: boolean
  readonly timestampFilenamePrefix?: boolean
  readonly seedSource?: KnexSeedSource
  readonly [other: string]: unknown
}

export interface KnexConfig {
  readonly client?: unknown
  readonly dialect?: unknown
  readonly searchPath?: string | readonly string[]
  readonly pool?: KnexPoolOptions
  readonly log?: object
  readonly migrations?: KnexMigrationsOptions
  readonly seeds?: KnexSeedsOptions
  readonly [other: string]: unknown
}

export interface KnexPoolOptions {
  readonly max?: number
  readonly afterCreate?: (connection: RawConnection, done: (error?: unknown, connection?: unknown) => void) => unknown
  readonly [other: string]: unknown
}

/** A connection of the user's own copy of `pg`. */
export interface RawConnection {
  query(sql: string, done: (error: unknown) => void): unknown
  readonly connection?: { readonly stream?: { destroy(): unknown } }
}

/** What a source hands out is its own affair; Knex gives it back as it came. */
export interface KnexMigrationSource {
  getMigrations(loadExtensions: readonly string[]): Promise<unknown[]>
  getMigrationName(migration: unknown): string
  getMigration(migration: unknown): Promise<unknown> | unknown
}

export interface KnexSeedSource {
  getSeeds(config: unknown): Promise<unknown[]>
  getSeed(seed: unknown): Promise<unknown> | unknown
}

export interface KnexMigration {
  up(knex: unknown): unknown
  down(knex: unknown): unknown
  readonly config?: { readonly transaction?: boolean }
}

export interface KnexInstance {
  readonly migrate: {
    latest(): Promise<[batch: number, applied: string[]]>
    list(): Promise<[completed: { readonly name: string }[], pending: unknown[]]>
  }
  readonly seed: { run(): Promise<unknown> }
  on(event: 'query-error', listener: (error: Error, query: { readonly sql?: string }) => void): unknown
  destroy(): Promise<void>
}

export type KnexFactory = (config: KnexConfig) => KnexInstance
