/** The database a test works with: its address, capped connections made on first use, and the way back to the migrated state. */
import type { Knex } from 'knex'
import { messageOf, TestDbError } from '../errors.ts'
import { knexConfig } from '../pools/knex.ts'
import {
  COMMON_SCHEMA,
  type ConnectionTarget,
  formatUrl,
  inSchema,
  type Pool,
  type PoolLimits,
  poolConfig,
  type SharedTransaction,
  schemaApplication,
} from '../postgres/index.ts'
import { type RunContext, testTarget } from './context.ts'
import type { Checkpoint, Database } from './contract.ts'
import { Handles } from './handles.ts'
import type { Lease } from './lease.ts'
import type { ReceivedNotification, Subscription, WaitOptions } from './listen-contract.ts'
import { callOnReset } from './on-reset.ts'
import type { BegunResets } from './reset/begun.ts'
import { rollBack } from './reset/rollback.ts'

export type { Checkpoint, Database } from './contract.ts'

/** Remembered states, as runners need them. */
export interface Checkpoints {
  /** How many there are. */
  readonly level: number
  checkpoint(): Promise<unknown>
  readonly session: { readonly ended: boolean }
}

export class WorkerDatabase implements Database {
  readonly name: string
  readonly url: string
  readonly #context: RunContext
  readonly #target: ConnectionTarget
  readonly #applicationName: string
  readonly #limits: PoolLimits
  /** Undefined where all workers share one database. */
  readonly #lease: Lease | undefined
  /** What is opened on first use. */
  readonly #handles: Handles
  #released = false
  /** The worker's further databases; empty for each of those. */
  readonly #others: readonly WorkerDatabase[]

  constructor(context: RunContext, place: Lease | string, slot: string, others: readonly WorkerDatabase[] = []) {
    this.#context = context
    this.#others = others
    this.#lease = typeof place === 'string' ? undefined : place
    const schema = context.schemas && this.#lease?.name
    this.name = schema === undefined ? (this.#lease?.name ?? String(place)) : context.admin.database
    const target = testTarget(context, this.name)
    this.#target = schema === undefined ? target : inSchema(target, schema)
    // Without TLS is what drivers do when nothing is said; PGSSLMODE is set for those that look there (acquire.ts).
    this.url = formatUrl(this.#target.ssl === false ? { ...this.#target, ssl: undefined } : this.#target)
    this.#applicationName = schema === undefined ? `testdb:${context.project}:${slot}` : schemaApplication(schema)
    this.#limits = context.pool
    this.#handles = new Handles({
      target: this.#target,
      limits: this.#limits,
      applicationName: this.#applicationName,
      project: context.project,
      projectRoot: context.projectRoot,
      rollsBack: this.#rollsBack,
      knexConfig: () => this.knexConfig(),
    })
  }

  get released(): boolean {
    return this.#released
  }

  get lease(): Lease | undefined {
    return this.#lease
  }

  /** Those of the worker: this one first. */
  get all(): readonly WorkerDatabase[] {
    return [this, ...this.#others]
  }

  get named(): Readonly<Record<string, WorkerDatabase>> {
    return Object.fromEntries(this.all.map((one) => [one.#context.name, one]))
  }

  /** What data of `beforeAll` hooks is remembered with; undefined where it can not be. */
  get checkpoints(): Checkpoints | undefined {
    return this.#lease?.strategy.checkpoints ? this.#lease : undefined
  }

  get target(): ConnectionTarget {
    return this.#target
  }

  get connection(): Readonly<Record<string, unknown>> {
    return { ...poolConfig(this.#target, this.#limits, this.#applicationName) }
  }

  get pool(): Pool {
    this.#assertHeld()
    return this.#handles.pool
  }

  async query<R extends Record<string, unknown>>(
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<{ rows: R[]; rowCount: number | null }> {
    const { rows, rowCount } = await this.pool.query<R>(sql, [...values])
    return { rows, rowCount }
  }

  knex(): Knex {
    this.#assertHeld()
    return this.#handles.knex()
  }

  knexConfig(): Knex.Config {
    const config = knexConfig(this.#target, this.#limits, this.#applicationName, this.#context.projectRoot)
    // It is laid over knexfiles, which may have a path of their own.
    return this.#context.schemas && this.#lease ? { ...config, searchPath: [this.#lease.name, COMMON_SCHEMA] } : config
  }

  async listen(channel: string): Promise<Subscription> {
    this.#assertHeld()
    return await this.#handles.listener().listen(channel)
  }

  waitForNotification(channel: string, options: WaitOptions = {}): Promise<ReceivedNotification> {
    this.#assertHeld()
    return this.#handles.listener().waitFor(channel, options)
  }

  async reset(): Promise<void> {
    await Promise.all(this.all.map((one) => one.#reset()))
    await callOnReset()
  }

  async #reset(): Promise<void> {
    this.#assertHeld()
    await this.#putBack(
      () => this.#rollBack(this.#handles.transaction?.level ?? 0),
      () => this.#lease?.reset(),
    )
  }

  /** A test has ended: forgets the checkpoints above `level` and puts this database back; the others have levels of their own. */
  async resetAfter(test: string, level: number, begun?: BegunResets): Promise<void> {
    await this.#putBack(
      () => this.#rollBack(0, test),
      () => this.#lease?.rewind(level, test, begun?.get(this)),
    )
  }

  async #putBack(rollBack: () => Promise<void>, reset: () => Promise<void> | undefined): Promise<void> {
    await this.#handles.settle()
    if (this.#rollsBack) return await rollBack()
    const before = this.#lease?.session
    await reset()
    if (before !== this.#lease?.session) this.#handles.forgetLosses()
  }

  /** Somebody else may have it by now; and who would close what is opened? */
  #assertHeld(): void {
    if (!this.#released) return
    throw new TestDbError(
      'TESTDB_LEASE_LOST',
      `the database ${this.name} was released before, so its handle can not be used`,
    )
  }

  get #rollsBack(): boolean {
    return this.#lease?.strategy.name === 'rollback'
  }

  async #rollBack(level: number, after?: string): Promise<void> {
    // Asking for the session is what throws when the database is not ours any more.
    const session = this.#lease?.session
    const { transaction } = this.#handles
    if (session && transaction) await rollBack(transaction, { session, level, after })
  }

  async checkpoint(): Promise<Checkpoint> {
    const checkpoints = await Promise.all(this.all.map((one) => one.#checkpoint()))
    const release = async (): Promise<void> => {
      await Promise.all(checkpoints.map((one) => one.release()))
    }
    return { release, [Symbol.asyncDispose]: release }
  }

  async #checkpoint(): Promise<Pick<Checkpoint, 'release'>> {
    this.#assertHeld()
    const lease = this.#lease
    if (!lease) throw new TestDbError('TESTDB_CHECKPOINT_FAILED', `the database ${this.name} is shared with others`)
    const shared = this.#handles.shared()
    if (shared) return await this.#savepoint(shared)
    return { release: await lease.mark() }
  }

  async #savepoint(shared: SharedTransaction): Promise<Pick<Checkpoint, 'release'>> {
    const checkpoint = await shared.checkpoint().catch((cause: unknown) => {
      throw new TestDbError('TESTDB_CHECKPOINT_FAILED', `no checkpoint of ${this.name}: ${messageOf(cause)}`, { cause })
    })
    const release = async (): Promise<void> => {
      const before = this.#handles.transaction?.levelBelow(checkpoint)
      if (before !== undefined) await this.#rollBack(before)
    }
    return { release }
  }

  /** Closes what was opened on first use; the database stays leased. */
  async closePools(): Promise<void> {
    await this.#handles.close()
  }

  async release(): Promise<void> {
    const released = await Promise.allSettled(this.all.map((one) => one.#release()))
    for (const one of released) if (one.status === 'rejected') throw one.reason
  }

  async #release(): Promise<void> {
    this.#released = true
    try {
      await this.closePools()
    } finally {
      await this.#lease?.release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
