/** What a user may tell `knexMigrator`. */
export interface KnexMigratorOptions {
  /** Path of the knexfile, relative to the project; `false` ignores one that is there. @default `knexfile.{js,mjs,ts,cjs,cts,mts}` in the project, if there is one */
  readonly knexfile?: string | false
  /** Key in the knexfile. @default NODE_ENV, else `test`, else `development`, else the whole file */
  readonly environment?: string
  /** Folders of migrations, relative to the project. @default the knexfile's, else `migrations` */
  readonly directory?: string | readonly string[]
  /** Extensions of migrations, with the dot. @default the knexfile's, else Knex's own, which lack `.mjs`, `.mts` and `.cts` */
  readonly loadExtensions?: readonly string[]
  /** Order the files of each folder for itself. @default the knexfile's, else false */
  readonly sortDirsSeparately?: boolean
  /** Knex's table. @default the knexfile's, else `knex_migrations` */
  readonly tableName?: string
  /** Schema of that table; created when missing. @default the knexfile's, else the first of the search path */
  readonly schemaName?: string
  /** Folders of seeds, relative to the project; `false` runs none. @default the knexfile's `seeds`, if it has any */
  readonly seeds?: string | readonly string[] | false
}
