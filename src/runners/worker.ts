/**
 * The life of one worker, whatever its runner: enter a file → reset after each test → leave the file.
 *
 * State is kept on `globalThis`, because setup files and fixtures may be loaded as separate copies, and because a
 * worker without isolation evaluates the setup file again for each test file while the code under test, loaded once,
 * goes on using the URL of the first.
 */
import { acquireDatabase, databaseEnvironment } from '../acquire.ts'
import type { RunContext } from '../databases/context.ts'
import type { WorkerDatabase } from '../databases/database.ts'
import { callOnReset } from '../databases/on-reset.ts'
import { isPgMem, type PgMemContext, PgMemDatabase } from '../databases/pg-mem-database.ts'
import type { BegunResets } from '../databases/reset/begun.ts'
import { observeInWorker } from '../observe.ts'
import { endWorkerRecord, recordWorker } from '../report/record.ts'
import { fileEnds, watchGuards } from './guards/watch.ts'

const STATE = Symbol.for('testdb.worker')

export type HeldDatabase = WorkerDatabase | PgMemDatabase
export type WorkerContext = RunContext | PgMemContext

interface WorkerState {
  readonly database: HeldDatabase
  readonly context: WorkerContext
  /** False between the files of a worker that keeps its database. */
  inUse: boolean
}

interface WorkerGlobal {
  [STATE]?: WorkerState | undefined
}
const store = globalThis as WorkerGlobal

export interface EnterOptions {
  /** The runner's number of this worker. */
  readonly slot: string
}

/** The database that the current file has entered with, if it has. */
export const currentDatabase = (): HeldDatabase | undefined => (store[STATE]?.inUse ? store[STATE].database : undefined)

/** Leases a database, or takes the one this worker has into use again, and points the environment at it. */
export async function enterFile(context: WorkerContext, options: EnterOptions): Promise<HeldDatabase> {
  recordWorker(context.report, options.slot)
  const before = store[STATE]
  if (before) {
    if (isSameTemplate(before.context, context)) {
      for (const { lease } of before.database.all) await lease?.resume()
      before.inUse = true
      watch(context, before.database)
      return before.database
    }
    // Watch mode: the migrations changed since the last file.
    store[STATE] = undefined
    await before.database.release()
  }
  await observeInWorker(context.observers)
  if (isPgMem(context)) {
    const database = new PgMemDatabase(context)
    store[STATE] = { database, context, inUse: true }
    return database
  }
  const database = await acquireDatabase(context, { slot: options.slot })
  store[STATE] = { database, context, inUse: true }
  watch(context, database)
  Object.assign(process.env, databaseEnvironment(context, database))
  return database
}

/** Nothing can be left where there are no connections. */
function watch(context: WorkerContext, database: HeldDatabase): void {
  if (!isPgMem(context)) watchGuards(context, database as WorkerDatabase)
}

export interface Leaving {
  /** The worker runs further files with the modules of this one: then the lease is kept, because code that was loaded once can not learn another URL. */
  readonly stays: boolean
  /** The process runs further files, whether or not its modules stay. @default stays */
  readonly processStays?: boolean
  /** It is a test that is left, which has a database for itself. @default false */
  readonly ofTest?: boolean
  /** Nobody hears what is thrown. @default false */
  readonly quietly?: boolean
}

/** Ends the use by one file. Throws what guards have found (`TESTDB_GUARD_FAILED`), when all is given back. */
export async function leaveFile(leaving: Leaving): Promise<void> {
  try {
    await leave(leaving)
  } finally {
    if (!leaving.ofTest) endWorkerRecord()
  }
}

async function leave({ stays, processStays = stays, ofTest, quietly = false }: Leaving): Promise<void> {
  const verdict = await fileEnds({ processStays, ...(ofTest !== undefined && { ofTest }) })
  try {
    await giveBack(stays)
  } catch (error) {
    verdict?.judge(true)
    throw error
  }
  verdict?.judge(quietly)
}

async function giveBack(stays: boolean): Promise<void> {
  const state = store[STATE]
  if (!state) return
  if (stays) {
    state.inUse = false
    for (const database of state.database.all) {
      await database.closePools()
      await database.lease?.settle()
    }
    return
  }
  store[STATE] = undefined
  await state.database.release()
}

/** A test has ended, where no blocks are known: puts the worker's databases back to the migrated state. */
export async function resetAfter(database: HeldDatabase, test: string, begun?: BegunResets): Promise<void> {
  for (const one of [...database.all].reverse()) await one.resetAfter(test, 0, begun)
  await callOnReset()
}

/** A reserved name that no resolver knows, so that what connects to it says where it is. */
const NOWHERE = 'no-database-outside-of-a-test-with-scope-test.invalid'

/** Until a test has its database the environment must not lead to one that somebody else has put there. */
export function hideDatabase({ env, others = [] }: RunContext): void {
  others.forEach(hideUrl)
  if (env === false) return
  Object.assign(process.env, { PGHOST: NOWHERE, PGDATABASE: 'none' })
  hideUrl({ env })
}

function hideUrl({ env }: Pick<RunContext, 'env'>): void {
  for (const name of env || []) process.env[name] = `postgres://${NOWHERE}/none`
}

function isSameTemplate(a: WorkerContext, b: WorkerContext): boolean {
  if (isPgMem(a) || isPgMem(b)) return isPgMem(a) && isPgMem(b) && a.hash === b.hash
  return a.shared === b.shared && a.schemas?.hash === b.schemas?.hash && templatesOf(a).join() === templatesOf(b).join()
}

const templatesOf = ({ template, others = [] }: RunContext): (number | undefined)[] => [
  template?.id,
  ...others.map((other) => other.template?.id),
]
