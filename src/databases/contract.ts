/** What users get: a database to work with. */
import type { Knex } from 'knex'
import type { Pool } from '../postgres/index.ts'
import type { ReceivedNotification, Subscription, WaitOptions } from './listen-contract.ts'

export type { ListenGap, NextOptions, ReceivedNotification, Subscription, WaitOptions } from './listen-contract.ts'

/** A migrated database that nobody else uses. Closed, with everything opened through it, by `release()` or by the runner. */
export interface Database extends AsyncDisposable {
  /** Name of the database on the server. */
  readonly name: string
  /** The databases of this worker by their names in `databases` of the configuration, this one included; `main` where there is one. */
  readonly named: Readonly<Record<string, Database>>
  /** Connection string for any driver or ORM. */
  readonly url: string
  /** The same as separate fields, with testdb's caps and time limits, for `new pg.Pool(db.connection)`. */
  readonly connection: Readonly<Record<string, unknown>>
  /** A capped `pg.Pool`, made on first use and closed by testdb. */
  readonly pool: Pool
  /** Runs one statement on `pool`. */
  query<R extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<{ rows: R[]; rowCount: number | null }>
  /** A capped Knex instance, made on first use with the project's own Knex and closed by testdb. Throws `TESTDB_PEER_MISSING`. */
  knex(): Knex
  /** The configuration of `knex()`, for code that makes its own instance. */
  knexConfig(): Knex.Config
  /**
   * Listens on a channel, as it was sent: `NOTIFY Jobs` without quotes is sent on `jobs`. Everything that is committed after it has
   * resolved is waiting for `next()`. It ends with the test. Throws `TESTDB_SERVER_LOST`, `TESTDB_CONFIG_INVALID` for a wrong name.
   *
   * @example
   * const jobs = await db.listen('jobs')
   * await api.post('/jobs', { kind: 'mail' })
   * const { payload } = await jobs.next()
   */
  listen(channel: string): Promise<Subscription>
  /**
   * Listens, runs `act`, and waits for a notification, 3 s if `timeoutMs` says nothing else.
   * Throws `TESTDB_NOTIFICATION_TIMEOUT`, and what `act` throws.
   *
   * @example
   * const sent = await db.waitForNotification('jobs', { act: () => queue.add('mail') })
   * expect(sent.json()).toEqual({ kind: 'mail' })
   */
  waitForNotification(channel: string, options?: WaitOptions): Promise<ReceivedNotification>
  /** Puts the database, and the worker's others, back to the migrated state. Runners call it after each test. Throws `TESTDB_RESET_FAILED`, `TESTDB_LEASE_LOST`. */
  reset(): Promise<void>
  /**
   * Remembers the present state: `reset()` returns to it, until the checkpoint is released. Data of `beforeAll` hooks needs none,
   * runners remember it. Throws `TESTDB_CHECKPOINT_FAILED`.
   */
  checkpoint(): Promise<Checkpoint>
  /** Closes what was opened and gives the database, and the worker's others, back. */
  release(): Promise<void>
}

/** A remembered state of a database. */
export interface Checkpoint extends AsyncDisposable {
  /** Puts the database back to the state before this checkpoint, and forgets those made after it. */
  release(): Promise<void>
}
