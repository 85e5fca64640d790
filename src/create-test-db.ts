/** The entry for scripts and runners that have no adapter. */
import { acquireDatabase } from './acquire.ts'
import type { ResolvedConfig, TestDbConfig } from './config/config.ts'
import { resolveConfig } from './config/resolve.ts'
import type { RunContext } from './databases/context.ts'
import { type Database, WorkerDatabase } from './databases/database.ts'
import { TestDbError } from './errors.ts'
import { subscribe } from './events.ts'
import { observeConfig } from './observe.ts'
import { PgMemRun } from './pg-mem-run.ts'
import { isLogged } from './report/observe.ts'
import { showWaiting } from './report/waiting.ts'
import type { DatabasePart } from './run-budget.ts'
import { startRun } from './start-run.ts'

/** A source of databases without a runner. */
export interface TestDb extends AsyncDisposable {
  /** Leases a migrated database that nobody else uses. */
  acquire(): Promise<Database>
  /** Gives back every database that is still held, also those that are just being acquired, and ends the run. */
  close(): Promise<void>
}

/**
 * Gives scripts and runners without an adapter their own migrated databases.
 *
 * Starts or attaches the server and builds the template if need be; `options` win over environment, file and defaults.
 * Throws `TESTDB_CONFIG_INVALID`, `TESTDB_MIGRATION_FAILED`, `TESTDB_SERVER_UNREACHABLE` and the other codes of docs/errors.md.
 *
 * @example
 * await using testdb = await createTestDb()
 * await using db = await testdb.acquire()
 * await db.query('insert into users (name) values ($1)', ['Ada'])
 * await db.reset()
 */
export async function createTestDb(options: TestDbConfig = {}): Promise<TestDb> {
  const config = await resolveConfig({ options })
  const endObserving = observeConfig(config)
  try {
    return config.server.kind === 'pg-mem'
      ? await createPgMemTestDb(config, endObserving)
      : await createServerTestDb(config, endObserving)
  } catch (error) {
    endObserving()
    throw error
  }
}

async function createServerTestDb(config: ResolvedConfig, endObserving: () => void): Promise<TestDb> {
  // A script has no progress of ours, but it should not stand still without a word.
  const endWaiting = showWaiting()
  const run = await startRun(config, { runner: 'createTestDb', slots: 1 }).finally(endWaiting)
  /** Parts of the server's connections, each with the database that has it. */
  const parts = new Map<DatabasePart, WorkerDatabase | 'acquiring' | undefined>([[run.reservation, undefined]])
  let count = 0
  const freePart = (): DatabasePart | undefined => {
    for (const [part, user] of parts) if (user === undefined || (user !== 'acquiring' && user.released)) return part
    return undefined
  }
  const acquiring = new Set<Promise<unknown>>()
  let closed = false
  const close = async (): Promise<void> => {
    closed = true
    try {
      // Nobody would give back what they get.
      await Promise.allSettled(acquiring)
      const held = [...parts.values()].filter((user) => user instanceof WorkerDatabase)
      await Promise.all(held.map((database) => database.release()))
    } finally {
      parts.clear()
      await run.close().finally(endObserving)
    }
  }
  const acquire = async (): Promise<Database> => {
    if (closed) {
      throw new TestDbError('TESTDB_LEASE_LOST', 'this TestDb was closed before, so it has no more databases', {
        fixes: [
          'Acquire before `close()`, or make another one with `createTestDb()`.',
          'Run `npx testdb status` to see which databases there are.',
        ],
      })
    }
    const part = freePart() ?? (await run.reserveMore(1))
    parts.set(part, 'acquiring')
    let database: WorkerDatabase | undefined
    try {
      const slot = String(++count)
      database = await run.lend((lent) => acquireDatabase(withPart(run.context, part), { slot, lent }))
      return database
    } finally {
      parts.set(part, database)
    }
  }
  return {
    acquire() {
      const acquired = acquire()
      const settled = acquired.catch(() => undefined).then(() => void acquiring.delete(settled))
      acquiring.add(settled)
      return acquired
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function withPart({ others = [], ...context }: RunContext, part: DatabasePart): RunContext {
  const { poolMax, connectionLimit } = part
  const own = { ...context, pool: { ...context.pool, max: poolMax }, connectionLimit }
  return { ...own, others: others.map((other) => withPart(other, part)) }
}

/** Each database is one of its own in this process. */
async function createPgMemTestDb(config: ResolvedConfig, endObserving: () => void): Promise<TestDb> {
  // What this kind can not do has to be said, in a script too.
  const quiet = subscribe('warning.raised', ({ message }) => {
    if (!isLogged()) process.stderr.write(`testdb: ${message}\n`)
  })
  const run = await PgMemRun.start(config).finally(quiet)
  const held = new Set<Database>()
  const close = async (): Promise<void> => {
    await Promise.all([...held].map((database) => database.release())).finally(endObserving)
  }
  return {
    async acquire() {
      const database = run.acquire()
      held.add(database)
      return database
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
