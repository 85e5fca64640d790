/**
 * A lease: the exclusive hold on one database (or one schema: place.ts), which lives exactly as long as this session.
 *
 *   taken (held) ── settle() ──► settled: clean or kept for this run, still locked ── resume() ──► taken
 *        │                                        └── release() ──► free, the next worker may take it
 *        └── the process dies ──► the lock is free but the row says held: the next taker replaces the database
 *
 * The same session runs the resets. When it is lost while its worker lives, the worker must stop using the database:
 * every later call throws `TESTDB_LEASE_LOST`.
 */
import { isTestDbError, messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Activity, Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import type { RunContext } from './context.ts'
import { keepCopy, keepOnce } from './keep.ts'
import { othersOn } from './listener.ts'
import { databasePlace, type Place } from './place.ts'
import type { Begun, ResetStrategy, Resettable, TableChanges } from './reset/strategy.ts'

export class Lease implements Resettable {
  readonly name: string
  readonly context: RunContext
  readonly #place: Place
  #session: Session
  #level = 0
  /** Checkpoints of `mark()` that are not forgotten yet. `before`: the level that the release of one returns to. */
  #marks: { readonly before: number }[] = []
  /** What tests have changed in the schema, until a fresh clone undoes it. */
  #outdated: string | undefined
  #released = false
  /** Between the lock and the first use: no session there is one of ours. */
  #taking = false
  #releasing: Promise<void> | undefined

  /** Used once: then nobody else may have it, and the run drops it. */
  readonly once: boolean

  constructor(
    context: RunContext,
    session: Session,
    options: { readonly once?: boolean; readonly place?: Place } = {},
  ) {
    this.once = options.once === true
    this.context = context
    this.#place = options.place ?? databasePlace(context, session.target.database, this.once)
    this.name = this.#place.name
    this.#session = session
  }

  get session(): Session {
    // Somebody else may have the database now, and a reset would take it from them.
    if (this.#released) throw new TestDbError('TESTDB_LEASE_LOST', `${this.#place.what} was released before`)
    // Closed without another in its place: a replacement has failed half-way.
    if (this.#session.ended) throw this.#lostError(this.#session.lost.reason)
    return this.#session
  }

  get strategy(): ResetStrategy {
    return this.#place.strategy
  }

  /** Checkpoints that `reset` returns to instead of the template; 0 when there is none. */
  get level(): number {
    return this.#level
  }

  /** Puts the database back. `after`: the test that has ended. */
  reset(after?: string): Promise<void> {
    return this.#putBack(this.#level, after)
  }

  /** Forgets the checkpoints above `level` and puts the database back; if that fails, replaces it by a fresh clone and says so. */
  async rewind(level: number, after?: string, begun?: Begun): Promise<void> {
    this.#marks = this.#marks.filter(({ before }) => before < level)
    // Above that level it was put back to another state.
    await this.#putBack(level, after, level < this.#level ? undefined : begun)
  }

  async #putBack(level: number, after?: string, begun?: Begun): Promise<void> {
    const startedAt = performance.now() - (begun?.durationMs ?? 0)
    const { strategy, session } = this
    reached('reset.started')
    try {
      if (level < this.#level) await strategy.checkpoints?.pop(this, level, after)
      this.#level = Math.min(level, this.#level)
      await strategy.reset(this, { after, begun })
    } catch (error) {
      if (session.lost.aborted || strategy.name === 'clone') throw this.#resetFailed(error)
      const lost = this.#level === 0 ? '' : ', so what beforeAll hooks or checkpoints had put there is gone'
      publish('warning.raised', {
        message: `reset of ${this.name} by ${strategy.name} failed (${messageOf(error)}); it was ${this.#place.renewed}${lost}`,
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

  /** Remembers the present state as the one that `reset` returns to; gives its level. Throws `TESTDB_CHECKPOINT_FAILED`. */
  async checkpoint(after?: string): Promise<number> {
    const { strategy } = this
    if (!strategy.checkpoints) {
      throw new TestDbError('TESTDB_CHECKPOINT_FAILED', `reset: '${strategy.name}' has no checkpoints`)
    }
    try {
      this.#level = (await strategy.checkpoints.push(this, after)) ?? this.#level
    } catch (error) {
      if (this.#session.ended) throw this.#lostError(error)
      throw new TestDbError('TESTDB_CHECKPOINT_FAILED', `no checkpoint of ${this.name}: ${messageOf(error)}`, {
        cause: error,
      })
    }
    return this.#level
  }

  /** A checkpoint that who made it releases; what is returned does nothing when the checkpoint was forgotten before. */
  async mark(): Promise<() => Promise<void>> {
    const mark = { before: this.#level }
    await this.checkpoint()
    this.#marks.push(mark)
    return async () => {
      const place = this.#marks.indexOf(mark)
      if (place < 0) return
      this.#marks.splice(place)
      await this.#putBack(mark.before)
    }
  }

  async outdate(changes: string, after: string | undefined): Promise<void> {
    const alone = this.#taking || (this.#level === 0 && (await othersOn(this.session, this.name)).length === 0)
    if (alone || (this.context.onDdl === 'recreate' && this.#level === 0)) return await this.replace()
    if (changes === this.#outdated) return
    this.#outdated = changes
    const who = after === undefined ? 'a test' : `the test "${after}"`
    const until =
      this.#level === 0 ? 'sessions are open on it' : 'it holds what beforeAll hooks or checkpoints have made'
    publish('warning.raised', {
      message: `${who} changed the schema of ${this.name} (${changes}), and later tests of this file see that, because ${until}; it is replaced after this file. onDdl: 'recreate' replaces it at once where there are only sessions in the way`,
    })
  }

  #resetFailed(cause: unknown): TestDbError {
    // What could not be put in its place says why itself.
    if (this.#session.ended && !this.#session.lost.aborted && isTestDbError(cause)) return cause
    if (this.#session.ended) return this.#lostError(cause)
    return new TestDbError('TESTDB_RESET_FAILED', `resetting ${this.name} failed: ${messageOf(cause)}`, { cause })
  }

  #lostError(cause: unknown): TestDbError {
    const what = `the session that holds ${this.#place.what} was ended: the database was dropped, or the server stopped`
    return new TestDbError('TESTDB_LEASE_LOST', what, { cause })
  }

  /** Replaces the database by a fresh clone of the same name. Ends every other session on it. */
  async replace(): Promise<void> {
    const { session, crashed } = await this.#place.renew(this.#session)
    this.#session = session
    this.#level = 0
    this.#marks = []
    this.#outdated = undefined
    if (crashed) await this.refill()
  }

  async endWork(): Promise<readonly Activity[]> {
    return await this.#place.endWork(this.session)
  }

  /** In a clone of a template that went through a crash of the server: puts back what the unlogged tables had. */
  async refill(): Promise<void> {
    if (!this.strategy.recover) return
    await this.strategy.recover(this.session)
    await this.strategy.reset(this, { after: undefined })
  }

  /** Puts the database back and notes that nothing of this worker is outstanding; the lock stays. */
  async settle(): Promise<void> {
    // The run drops it, or resume() replaces it.
    if (this.once) return reached('release.settled')
    // Also for `clone`: hooks may have written after the last reset.
    if (this.strategy.leavesClean) await this.rewind(0)
    if (!(await this.#place.settle(this.session))) {
      if (this.#outdated === undefined) {
        const message = `tests changed the schema, the rights or the settings of ${this.name}; it is not used again after this file`
        publish('warning.raised', { message })
      }
      this.#outdated ??= 'the settings of the database'
    }
    reached('release.settled')
  }

  /** What differs from the state that a reset returns to; undefined where the strategy does not know. */
  async changes(cap: number): Promise<readonly TableChanges[] | undefined> {
    return await this.strategy.changes?.(this.session, cap)
  }

  /** Keeps the present state for people to look at; gives the name of the database that has it. */
  async keep(): Promise<string> {
    if (this.context.scope === 'test') {
      await keepOnce(this.context, this.name)
      return this.name
    }
    const { session, copied } = await keepCopy(this.context, this.session, this.once ? 'once' : 'ready')
    this.#session = session
    if (copied.status === 'fulfilled') return copied.value
    throw new Error(`${this.name} could not be kept: ${messageOf(copied.reason)}`, { cause: copied.reason })
  }

  /** Takes the settled database into use again; one that tests have changed beyond a reset is replaced. */
  async resume(): Promise<void> {
    if (this.once || this.#outdated !== undefined) return await this.replace()
    if (await this.#place.take(this.session)) await this.putBackLate()
  }

  /** Puts back what was written between the release by the last holder and now; what a reset can not undo is not left for later. */
  async putBackLate(): Promise<void> {
    this.#taking = true
    await this.reset().finally(() => {
      this.#taking = false
    })
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
