/**
 * A run with all databases of the project. Each of several named databases is a run of its own on a session of its own: its template,
 * its clones and their ends are what they are for one. The first one reserves the connections of all.
 */
import type { ResolvedConfig } from './config/config.ts'
import type { RunContext } from './databases/context.ts'
import { isTestDbError, TestDbError } from './errors.ts'
import type { Run, RunOptions } from './run.ts'
import type { DatabasePart } from './run-budget.ts'
import { startOne } from './testdb.ts'

/**
 * Starts or attaches the server, registers the run, waits for its part of the server's connections, and makes sure that the
 * migrated templates are there.
 */
export async function startRun(config: ResolvedConfig, options: RunOptions): Promise<Run> {
  if (config.others.length === 0) return await startOne(config, options)
  const runs: Run[] = []
  try {
    const slots = options.slots * (1 + config.others.length)
    const first = await named(config, () => startOne(config, { ...options, slots }))
    runs.push(first)
    for (const other of config.others) {
      runs.push(await named(other, () => startOne(other, { ...options, slots, beside: [first] })))
    }
    return new RunOfSeveral(first, runs)
  } catch (error) {
    await closeAll(runs)
    throw error
  }
}

/** Says which of the databases an error is about. */
async function named<T>({ databaseName }: ResolvedConfig, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isTestDbError(error)) throw error
    const { code, details, fixes, cause } = error
    throw new TestDbError(code, `database ${databaseName}: ${error.what}`, { details, fixes, cause })
  }
}

class RunOfSeveral implements Run {
  readonly config: ResolvedConfig
  readonly isOn: Run['isOn']
  readonly #first: Run
  readonly #all: readonly Run[]

  constructor(first: Run, all: readonly Run[]) {
    this.#first = first
    this.#all = all
    this.config = first.config
    this.isOn = first.isOn.bind(first)
  }

  get context(): RunContext {
    const others = this.#all.filter((run) => run !== this.#first).map(({ context }) => context)
    return { ...this.#first.context, others }
  }

  get reservation(): Run['reservation'] {
    return this.#first.reservation
  }

  reserveMore(databases: number): Promise<DatabasePart> {
    return this.#first.reserveMore(databases * this.#all.length)
  }

  lend: Run['lend'] = (work) => this.#first.lend(work)

  async refresh(): Promise<boolean> {
    let changed = false
    for (const run of this.#all) changed = (await named(run.config, () => run.refresh())) || changed
    return changed
  }

  async close(): Promise<void> {
    await closeAll(this.#all)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** The first one, which holds the part of all, last. */
async function closeAll(runs: readonly Run[]): Promise<void> {
  for (const run of [...runs].reverse()) await run.close()
}
