/** Public entry `testdb/migrators`: what to write as `migrator` in the configuration. */
export { type FunctionMigratorContext, type FunctionMigratorOptions, functionMigrator } from './function.ts'
export { type KnexMigratorOptions, knexMigrator } from './knex.ts'
export type {
  EmulationTarget,
  MigrationResult,
  MigrationTarget,
  Migrator,
  MigratorDefinition,
  MigratorProject,
  TableName,
} from './migrator.ts'
export type { SeedContext, SeedFunction } from './seed.ts'
export { type SqlMigratorOptions, sqlMigrator } from './sql.ts'
