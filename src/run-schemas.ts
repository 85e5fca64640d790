/**
 * The schemas of a run with `isolation: 'schema'`: as many as it has workers are there before its tests begin, and the process of
 * the run, which has the migrator, makes others while they are at work.
 *
 *   prepare: those that earlier runs of the same hash have left ──► enough? ──► the missing are migrated, one after the other
 *   serve:   a worker wants one more, or one anew ──► it is migrated, and the worker is woken
 *
 * One after the other, because migrations may share state in this process; two runs do migrate at the same time.
 *
 * What if the process dies here? Rows that say wanted or making are made by the next run of that hash, or dropped by a sweep; workers
 * that wait see that the run's lock is free.
 */
import {
  claimSchemas,
  forgetSchema,
  leaveSchemas,
  noteSchema,
  registerSchema,
  type SchemaOwner,
  type SchemaRow,
  Waker,
  wantedSchemas,
} from './coordination/index.ts'
import { CHANNEL } from './coordination/schema.ts'
import type { ResetName } from './databases/reset/strategy.ts'
import { installSchemaReset } from './databases/schemas/strategy.ts'
import { isTestDbError, messageOf, TestDbError } from './errors.ts'
import { publish } from './events.ts'
import type { Migrator } from './migrators/migrator.ts'
import type { Session } from './postgres/index.ts'
import type { RunPlace, TemplateContent } from './run-template.ts'
import { makeSchema, reasonOf, type SchemaPlan } from './templates/schema.ts'
import { ensureSchemaExtensions } from './templates/schema-server.ts'

/** How long the run's process sleeps when nobody wakes it (ms): the end of a lease sends no notification. */
const RECHECK_MS = 500

export interface SchemaContent extends Pick<TemplateContent, 'hash' | 'seed'> {
  readonly migrator: Migrator
  readonly reset: ResetName
}

export class RunSchemas {
  readonly #session: Session
  readonly #owner: SchemaOwner
  readonly #plan: SchemaPlan
  readonly #extensions: readonly string[]
  #stopping = false
  #waker: Waker | undefined
  /** One makes at a time: the session's locks would not keep two apart. */
  #work: Promise<unknown> = Promise.resolve()
  #serving: Promise<void> = Promise.resolve()

  constructor({ session, address, runId, role, config }: RunPlace, content: SchemaContent) {
    const { migrator, seed, hash, reset } = content
    this.#session = session
    this.#owner = { project: config.project, hash, runId }
    this.#extensions = config.extensions
    this.#plan = {
      hash,
      migrator,
      seed,
      target: { ...session.target, ...address, user: role.user, password: role.password },
      install: (own, schema, bookkeeping) => installSchemaReset(own, schema, reset, { bookkeeping }),
    }
  }

  /** Makes sure that there are so many schemas for the workers of this run. Throws why one could not be made. */
  async prepare(amount: number): Promise<void> {
    const startedAt = performance.now()
    await ensureSchemaExtensions(this.#session, this.#extensions)
    await leaveSchemas(this.#session, this.#owner)
    const rows = await claimSchemas(this.#session, this.#owner, amount)
    let made = 0
    for (let i = 0; i < amount; i++) {
      const row = rows[i] ?? (await registerSchema(this.#session, this.#owner))
      if (row.state !== 'wanted') continue
      await this.#makeOrForget(row)
      made++
    }
    if (made > 0) return
    const waitedMs = performance.now() - startedAt
    publish('template.reused', { template: rows.map(({ name }) => name).join(', '), waitedMs })
  }

  /** Makes one more at once; for a process that leases several. Throws why it could not. */
  async makeOneMore(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#makeOrForget(await registerSchema(this.#session, this.#owner))
    })
  }

  /** From now on wanted schemas are made. */
  serve(): void {
    this.#stopping = false
    this.#serving = this.#serve().catch((error: unknown) => {
      if (this.#session.lost.aborted || this.#stopping) return
      publish('warning.raised', { message: `no schemas are made for workers any more: ${messageOf(error)}` })
    })
  }

  /** Ends it after the schema that is being made. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#waker?.wake()
    await this.#serving
    await this.#work.catch(() => undefined)
  }

  async #serve(): Promise<void> {
    const waker = await Waker.listen(this.#session, CHANNEL.schemas)
    this.#waker = waker
    try {
      while (!this.#stopping) {
        const rows = await wantedSchemas(this.#session, this.#owner)
        for (const row of rows) if (!this.#stopping) await this.#exclusively(() => this.#makeOrTell(row))
        // Those that were wanted meanwhile have woken it.
        if (!this.#stopping) await waker.wait(RECHECK_MS)
      }
    } finally {
      await waker.close()
    }
  }

  #exclusively<T>(body: () => Promise<T>): Promise<T> {
    const work = this.#work.then(body, body)
    this.#work = work.catch(() => undefined)
    return work
  }

  async #makeOrForget(row: SchemaRow): Promise<void> {
    try {
      await makeSchema(this.#session, row, this.#plan)
      await noteSchema(this.#session, row.id, { state: 'ready', request: null })
    } catch (error) {
      if (!this.#session.lost.aborted) await forgetFailed(this.#session, row)
      throw coded(error, row)
    }
  }

  /** The worker that waits is told why; what nobody waits for is only said. */
  async #makeOrTell(row: SchemaRow): Promise<void> {
    try {
      await makeSchema(this.#session, row, this.#plan)
    } catch (error) {
      if (this.#session.lost.aborted) throw error
      const { code, what, fixes, details, stack } = coded(error, row)
      await noteSchema(this.#session, row.id, { state: 'failed', error: { code, what, fixes, details, stack } })
      if (row.request === null) {
        publish('warning.raised', { message: `${row.name} could not be migrated anew: ${reasonOf(error)}` })
      }
    }
  }
}

/** The schema was dropped; where that failed the row stays, so that a sweep tries again. */
async function forgetFailed(session: Session, row: SchemaRow): Promise<void> {
  const { rowCount } = await session.query('select from pg_namespace where nspname = $1', [row.name])
  if (rowCount === 0) await forgetSchema(session, row.id)
  else await noteSchema(session, row.id, { state: 'failed' })
}

const coded = (error: unknown, { name }: SchemaRow): TestDbError =>
  isTestDbError(error)
    ? error
    : new TestDbError('TESTDB_TEMPLATE_BUILD_FAILED', `making the schema ${name} failed: ${messageOf(error)}`, {
        cause: error,
      })
