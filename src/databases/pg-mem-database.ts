/** The database of a test where the server is `pg-mem`: an emulation in this process, put back by its own backups. */
import type { Knex } from 'knex'
import { TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { closeKnex, loadKnex, openKnex } from '../pools/knex.ts'
import type { Pool } from '../postgres/index.ts'
import { Emulation } from '../server/pg-mem/emulation.ts'
import { knexClient } from '../server/pg-mem/knex-client.ts'
import { findPgMem } from '../server/pg-mem/package.ts'
import type { Checkpoint, Database } from './contract.ts'
import type { Checkpoints } from './database.ts'
import { callOnReset } from './on-reset.ts'

/** What a run tells its workers instead of where a template is. Plain data. */
export interface PgMemContext {
  readonly projectRoot: string
  /** What made the migrated database; run again, it makes another one. */
  readonly statements: readonly string[]
  /** Changes with the migrations. */
  readonly hash: string
  /** Every strategy but `none` means restoring a backup. */
  readonly reset: 'rows' | 'none'
  readonly scope: 'worker' | 'file'
  readonly shared?: undefined
  /** As with a server. */
  readonly observers?: string | undefined
  /** Where the record of the run is written. */
  readonly report?: string | undefined
}

export const isPgMem = (context: object): context is PgMemContext => 'statements' in context

/** Longer than a query in memory takes; only a transaction that was never ended waits so long (ms). */
const CLOSE_GRACE_MS = 500

export class PgMemDatabase implements Database {
  readonly name = 'pg-mem'
  /** Nobody else can have it, and nothing can be lost. */
  readonly lease = undefined
  /** There is one. */
  readonly all: readonly PgMemDatabase[] = [this]
  readonly named: Readonly<Record<string, PgMemDatabase>> = { main: this }
  readonly #context: PgMemContext
  readonly #emulation: Emulation
  #pool: Pool | undefined
  #knex: Knex | undefined
  #released = false

  /** Throws `TESTDB_PEER_MISSING`. */
  constructor(context: PgMemContext) {
    this.#context = context
    this.#emulation = new Emulation(findPgMem(context.projectRoot), context.statements)
  }

  get url(): never {
    throw limit('db.url')
  }

  get connection(): never {
    throw limit('db.connection')
  }

  get pool(): Pool {
    this.#assertHeld()
    // The adapter has the part of a pool's interface that pg-mem's authors found needed.
    this.#pool ??= new this.#emulation.driver.Pool() as unknown as Pool
    return this.#pool
  }

  async query<R extends Record<string, unknown>>(
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<{ rows: R[]; rowCount: number | null }> {
    this.#assertHeld()
    const { rows, rowCount } = await this.#emulation.query(sql, [...values])
    return { rows: rows as R[], rowCount }
  }

  knex(): Knex {
    this.#assertHeld()
    this.#knex ??= openKnex(this.#context.projectRoot, this.knexConfig())
    return this.#knex
  }

  knexConfig(): Knex.Config {
    const client = knexClient(loadKnex(this.#context.projectRoot), 'pg', this.#emulation.driver)
    return { client: client as unknown as typeof Knex.Client, connection: {}, pool: { min: 0, max: 10 } }
  }

  async listen(): Promise<never> {
    throw limit('db.listen()')
  }

  async waitForNotification(): Promise<never> {
    throw limit('db.waitForNotification()')
  }

  async reset(): Promise<void> {
    this.#assertHeld()
    this.#rewind(this.#emulation.level, 'a reset')
    await callOnReset()
  }

  /** A test has ended: forgets the checkpoints above `level` and puts the database back. */
  async resetAfter(test: string, level: number): Promise<void> {
    if (this.#context.reset !== 'none') this.#rewind(level, `"${test}"`)
  }

  async checkpoint(): Promise<Checkpoint> {
    this.#assertHeld()
    this.#emulation.remember()
    const { level } = this.#emulation
    let held = true
    const release = async (): Promise<void> => {
      if (held && this.#emulation.level >= level) this.#rewind(level - 1, 'a checkpoint')
      held = false
    }
    return { release, [Symbol.asyncDispose]: release }
  }

  get checkpoints(): Checkpoints | undefined {
    if (this.#context.reset === 'none') return undefined
    const emulation = this.#emulation
    return {
      get level() {
        return emulation.level
      },
      session: { ended: false },
      checkpoint: async () => emulation.remember(),
    }
  }

  /** Between the files of a worker that goes on with it, and at its end. */
  async closePools(): Promise<void> {
    const knex = this.#knex
    this.#knex = undefined
    this.#pool = undefined
    if (knex) await closeKnex(knex, CLOSE_GRACE_MS)
    if (!this.#released && this.#context.reset !== 'none') this.#rewind(0, 'the file')
  }

  get released(): boolean {
    return this.#released
  }

  async release(): Promise<void> {
    this.#released = true
    await this.closePools()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #rewind(level: number, after: string): void {
    if (this.#emulation.rewind(level)) return
    const lost = level > 0 ? '; what beforeAll hooks or checkpoints had left in it is gone' : ''
    publish('warning.raised', {
      message: `${after} has changed the schema, which pg-mem can not take back: the database was made anew${lost}`,
    })
  }

  #assertHeld(): void {
    if (this.#released) throw new TestDbError('TESTDB_LEASE_LOST', 'the pg-mem database was released before')
  }
}

function limit(name: string): TestDbError {
  return new TestDbError('TESTDB_PGMEM_LIMIT', `\`${name}\` was read, and with pg-mem there is no server to connect to`)
}
