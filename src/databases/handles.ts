/** What a database's handle opens on first use and closes again: a pool, a Knex instance, the listening session. */
import type { Knex } from 'knex'
import { closeKnex, type KnexDriver, openKnex } from '../pools/knex.ts'
import {
  type ClientClass,
  type ConnectionTarget,
  closePool,
  forgetLosses,
  markOwn,
  openPool,
  type Pool,
  type PoolLimits,
  SharedTransaction,
} from '../postgres/index.ts'
import { driverClient, OwnWork } from '../postgres/own-work.ts'
import { Listener } from './listener.ts'

/** How long `close()` waits for connections that a test never gave back, before it cuts them (ms). */
const CLOSE_GRACE_MS = 2_000

export interface HandleOptions {
  readonly target: ConnectionTarget
  readonly limits: PoolLimits
  readonly applicationName: string
  readonly project: string
  /** Whose Knex it is. */
  readonly projectRoot: string
  /** `reset: 'rollback'`: pool and Knex work in one transaction. */
  readonly rollsBack: boolean
  readonly knexConfig: () => Knex.Config
}

export class Handles {
  readonly #options: HandleOptions
  #pool: Pool | undefined
  #knex: Knex | undefined
  #listener: Listener | undefined
  #transaction: SharedTransaction | undefined
  /** What was asked of `pool` and `knex()` and has no answer yet. */
  readonly #own = new OwnWork()

  constructor(options: HandleOptions) {
    this.#options = options
  }

  get pool(): Pool {
    if (!this.#pool) {
      const { target, limits, applicationName } = this.#options
      const Client = this.#own.counted(this.shared()?.clientClass() ?? driverClient)
      const pool = markOwn(openPool(target, limits, applicationName, Client))
      this.#pool = pool
      this.#own.watch(() => pool.waitingCount)
    }
    return this.#pool
  }

  knex(): Knex {
    if (!this.#knex) {
      const { projectRoot, knexConfig } = this.#options
      const shared = this.shared()
      const clientOf = ({ Client, types }: KnexDriver): ClientClass =>
        this.#own.counted(shared?.clientClass(types) ?? Client)
      const knex = openKnex(projectRoot, knexConfig(), clientOf)
      this.#knex = knex
      this.#own.watch(() => pendingOf(knex))
    }
    return this.#knex
  }

  listener(): Listener {
    const { target, project, rollsBack } = this.#options
    this.#listener ??= new Listener({ target, project, rollsBack })
    return this.#listener
  }

  /** What `pool` and `knex()` work in with `reset: 'rollback'`, if it was opened. */
  get transaction(): SharedTransaction | undefined {
    return this.#transaction
  }

  /** The same, opened. */
  shared(): SharedTransaction | undefined {
    const { target, limits, applicationName, rollsBack } = this.#options
    if (rollsBack) this.#transaction ??= new SharedTransaction(target, limits, applicationName)
    return this.#transaction
  }

  /** A test has ended: waits for what it has asked, and ends its subscriptions. */
  async settle(): Promise<void> {
    await this.#own.ended()
    await this.#listener?.clear()
  }

  /** A fresh clone has taken the place of the database, which ended their connections. */
  forgetLosses(): void {
    forgetLosses(this.#pool)
    forgetLosses(this.#knex)
  }

  async close(): Promise<void> {
    const [pool, knex, listener] = [this.#pool, this.#knex, this.#listener]
    this.#pool = undefined
    this.#knex = undefined
    this.#listener = undefined
    this.#own.forget()
    await listener?.close()
    if (pool) await closePool(pool, CLOSE_GRACE_MS)
    if (knex) await closeKnex(knex, CLOSE_GRACE_MS)
    // Last: a pool may still wait for what runs in it.
    const transaction = this.#transaction
    this.#transaction = undefined
    await transaction?.close()
  }
}

/** Those who wait for a connection of Knex's pool, which is gone when the user has destroyed it. */
function pendingOf(knex: Knex): number {
  const { pool } = knex.client as { pool?: { numPendingAcquires(): number } }
  return pool?.numPendingAcquires() ?? 0
}
