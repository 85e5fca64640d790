/** The migrator for everything else: the user's own code, with the user's own idea of what makes it another version. */
import { createHash } from 'node:crypto'
import { isTestDbError } from '../errors.ts'
import { type ConnectionTarget, formatUrl, withSession } from '../postgres/index.ts'
import { failure } from './failure.ts'
import type { MigratorDefinition } from './migrator.ts'
import { StatementRecorder } from './statements.ts'
import { MIGRATE_APPLICATION, runStep, sessionSettings } from './steps.ts'
import { withoutServer } from './without-server.ts'

export interface FunctionMigratorContext {
  /** Connection string of the empty database, as the role that shall own its objects. */
  readonly url: string
  /** The same in parts. */
  readonly connection: ConnectionTarget
  /** Aborts when the caller may no longer migrate. */
  readonly signal: AbortSignal
  /** Runs SQL on a connection that testdb opens and closes; without values several statements may be given. */
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

export interface FunctionMigratorOptions {
  /** Shown in progress and errors. @default 'function' */
  readonly name?: string
  /**
   * Anything that changes whenever the migrated database could: a version, or a digest of files. A database that was built for
   * the same text is used again, so an outdated hash means outdated tables.
   */
  readonly hash: string | (() => string | Promise<string>)
  /** Brings an empty database up to date. Must close the connections it opens. */
  readonly migrate: (database: FunctionMigratorContext) => Promise<unknown> | unknown
}

/**
 * Migrates with a function of yours: for tools that testdb does not know, or a schema that is made by code.
 *
 * `migrate` throws `TESTDB_MIGRATION_FAILED` with what the function threw as its cause.
 *
 * @example
 * import { defineConfig } from 'testdb'
 * import { functionMigrator } from 'testdb/migrators'
 *
 * export default defineConfig({
 *   migrator: functionMigrator({
 *     hash: 'v1',
 *     migrate: ({ query }) => query('create table users (id int primary key)'),
 *   }),
 * })
 */
export function functionMigrator(options: FunctionMigratorOptions): MigratorDefinition {
  const { name = 'function', migrate: run } = options
  return {
    name,
    async load() {
      return {
        name,
        summary: `${name}, a function`,
        count: 1,
        hash: async () => {
          const text = typeof options.hash === 'function' ? await options.hash() : options.hash
          return createHash('sha256')
            .update(JSON.stringify(['function', name, text]))
            .digest('hex')
        },
        migrate: async (target) => {
          const { connection, signal } = target
          await runStep(target, { name, index: 1, total: 1 }, async () => {
            const recorder = new StatementRecorder()
            const options = { applicationName: MIGRATE_APPLICATION, settings: sessionSettings(target) }
            try {
              await withSession(connection, options, async (session) => {
                const query = recorder.wrap(session)
                await run({ url: formatUrl(connection), connection, signal, query })
              })
            } catch (error) {
              if (signal.aborted && error === signal.reason) throw error
              throw failure({ code: 'TESTDB_MIGRATION_FAILED', name, error, sql: recorder.sqlOf(error) })
            }
          })
          return { applied: [name] }
        },
        emulate: async (target) => {
          const { query, signal } = target
          const database = withoutServer({ query, signal })
          await runStep(target, { name, index: 1, total: 1 }, async () => {
            try {
              await run(database)
            } catch (error) {
              if (isTestDbError(error)) throw error
              throw failure({ code: 'TESTDB_MIGRATION_FAILED', name, error })
            }
          })
          return { applied: [name] }
        },
        bookkeeping: [],
      }
    },
  }
}
