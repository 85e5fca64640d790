/**
 * A lease: the exclusive hold on one database, which lives exactly as long as this session.
 *
 *   taken (held) ── settle() ──► settled: clean or kept for this run, still locked ── resume() ──► taken
 *        │                                        └── release() ──► free, the next worker may take it
 *        └── the process dies ──► the lock is free but the row says held: the next taker replaces the database
 *
 * The same session runs the resets. When it is lost while its worker lives, the worker must stop using the database:
 * every later call throws `TESTDB_LEASE_LOST`.
 */
import { noteReplacing, noteState, tryLease } from '../coordination/index.ts'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { connectionLimit } from '../pools/limits.ts'
import { type ConnectionTarget, removeDatabase, Session, withSession } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { cloneTemplate } from '../templates/clone.ts'
import type { RunContext } from './context.ts'
import { rememberCatalog } from './reset/catalog.ts'
import { type LeaseRow, settleLease, writeLease } from './reset/lease-sql.ts'
import { strategyOf } from './reset/strategies.ts'
import type { Resettable } from './reset/strategy.ts'

export class Lease implements Resettable {
  readonly name: string
  readonly context: RunContext
  #session: Session
  #released = false
  #releasing: Promise<void> | undefined

  constructor(context: RunContext, session: Session) {
    this.context = context
    this.name = session.target.database
    this.#session = session
  }

  get session(): Session {
    // Somebody else may have the database now, and a reset would take it from them.
    if (this.#released) throw new TestDbError('TESTDB_LEASE_LOST', `the database ${this.name} was given back already`)
    // Closed without another in its place: a replacement has failed half-way.
    if (this.#session.ended) throw this.#lostError(this.#session.lost.reason)
    return this.#session
  }

  /** Puts the database back; if that fails, replaces it by a fresh clone and says so. */
  async reset(): Promise<void> {
    const startedAt = performance.now()
    const strategy = strategyOf(this.context.reset)
    const { session } = this
    reached('reset.started')
    try {
      await strategy.reset(this)
    } catch (error) {
      if (session.lost.aborted || strategy.name === 'clone') throw this.#resetFailed(error)
      publish('warning.raised', {
        message: `reset of ${this.name} by ${strategy.name} failed (${messageOf(error)}); it was replaced by a fresh clone`,
      })
      await this.replace().catch((second: unknown) => {
        throw this.#resetFailed(second)
      })
    }
    reached('reset.finished')
    publish('database.reset', {
      database: this.name,
      strategy: strategy.name,
      durationMs: performance.now() - startedAt,
    })
  }

  #resetFailed(cause: unknown): TestDbError {
    if (this.#session.ended) return this.#lostError(cause)
    return new TestDbError('TESTDB_RESET_FAILED', `resetting ${this.name} failed: ${messageOf(cause)}`, { cause })
  }

  #lostError(cause: unknown): TestDbError {
    const what = `the session that holds the database ${this.name} was ended: the database was dropped, or the server stopped`
    return new TestDbError('TESTDB_LEASE_LOST', what, { cause })
  }

  /**
   * Replaces the database by a fresh clone of the same name.
   *
   * Meanwhile nobody can hold the lease lock, because it lies in the database; the row's state keeps others away. If the
   * process dies here, the row says "creating" and the sweep removes it once the run is gone.
   */
  async replace(): Promise<void> {
    const { context, name } = this
    const template = context.template
    if (!template) throw new Error('bug: only clones can be replaced')
    await withSession(context.admin, { applicationName: 'testdb coordination', neutral: true }, async (maintenance) => {
      await noteReplacing(maintenance, name)
      reached('replace.noted')
      await this.#session.close()
      await removeDatabase(maintenance, name)
      reached('replace.dropped')
      await makeClone(maintenance, context, name)
      reached('replace.cloned')
      const session = await openLeaseSession(context, name)
      try {
        if (!(await tryLease(session))) throw new Error(`bug: somebody leased ${name} while it was being replaced`)
        await rememberCatalog(session)
        await writeLease(session, { held: true, clean: false, runId: context.runId })
        await noteState(maintenance, name, 'ready')
      } catch (error) {
        await session.close()
        throw error
      }
      this.#session = session
    })
  }

  /** Puts the database back and notes that nothing of this worker is outstanding; the lock stays. */
  async settle(): Promise<void> {
    const strategy = strategyOf(this.context.reset)
    const { runId } = this.context
    if (!strategy.leavesClean) await writeLease(this.session, { held: false, clean: false, runId })
    else {
      // Also for `clone`: hooks that ran after the last reset may have written.
      await this.reset()
      // Not every reset undoes DDL; a database that has seen some serves its worker, and nobody after it.
      if (!(await settleLease(this.session, runId))) {
        publish('warning.raised', {
          message: `tests changed the schema, the rights or the settings of ${this.name}; it is not used again after this file`,
        })
      }
    }
    reached('release.settled')
  }

  /** Takes the settled database into use again. */
  async resume(): Promise<void> {
    await writeLease(this.session, { held: true, clean: false, runId: this.context.runId })
  }

  /** Gives the database back. Safe to call twice; a lease that is lost has nothing to give back. */
  async release(): Promise<void> {
    if (this.#releasing) return await this.#releasing
    this.#releasing = this.#giveBack()
    await this.#releasing
  }

  async #giveBack(): Promise<void> {
    try {
      if (!this.#session.ended) await this.settle()
    } catch (error) {
      // A lease that is lost has nothing to give back.
      if (!this.#session.ended) throw error
    } finally {
      this.#released = true
      await this.#session.close()
      publish('database.released', { database: this.name })
    }
  }
}

/** A dirty database is only good for the run that made it so: its own strategy is to leave things as they are. */
export const isUsable = (row: LeaseRow, context: RunContext): boolean =>
  row.clean || (context.reset === 'none' && row.runId === context.runId)

/** Clones the run's template under that name. */
export async function makeClone(maintenance: Session, context: RunContext, name: string): Promise<void> {
  if (!context.template) throw new Error('bug: a shared database has no clones')
  await cloneTemplate(maintenance, {
    template: context.template.name,
    name,
    owner: context.role.user,
    serverMajor: context.serverMajor,
    connectionLimit: connectionLimit(context.poolMax),
  })
}

/** Connects to a database as the admin, the way a lease holds it. */
export async function openLeaseSession(context: RunContext, database: string): Promise<Session> {
  const target: ConnectionTarget = { ...context.admin, database }
  return await Session.open(target, {
    applicationName: `testdb lease:${context.project}`,
    neutral: true,
    // Rows are put back as they were: no user trigger, rule or foreign key check may act on it. Only superusers may say so.
    begin: `select set_config('session_replication_role', 'replica', false) from pg_roles where rolname = current_user and rolsuper`,
  })
}
