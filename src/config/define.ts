import type { TestDbConfig } from './config.ts'

/** What `testdb.config.*` may export: the configuration, or a function that returns it. */
export type TestDbConfigExport = TestDbConfig | (() => TestDbConfig | Promise<TestDbConfig>)

/**
 * Gives `testdb.config.ts` its types; returns its argument unchanged.
 *
 * @example
 * import { defineConfig } from 'testdb'
 * import { knexMigrator } from 'testdb/migrators'
 *
 * export default defineConfig({
 *   migrator: knexMigrator({ directory: 'migrations' }),
 *   reset: 'rows',
 * })
 *
 * @example A function, when the values have to be computed
 * export default defineConfig(() => ({ pool: { max: process.env.SMALL ? 2 : 10 } }))
 */
export function defineConfig(config: TestDbConfigExport): TestDbConfigExport {
  return config
}
