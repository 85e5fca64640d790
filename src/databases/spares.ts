/**
 * The queue of fresh databases for `scope: 'file' | 'test'`, filled by the run's own process while tests are at work.
 *
 *   made by a worker that waits ──► first: nothing else is begun meanwhile
 *   fewer spares than wanted    ──► one is cloned
 *   used and given back         ──► dropped, when nothing else is to do
 *
 * One statement at a time, on the run's own session: more would take the server away from the tests.
 *
 * What if the process dies here? A half-made clone says "creating" and is dropped by a sweep; spares become ordinary idle
 * databases of their template, and used ones are replaced by whoever meets them.
 */
import {
  CHANNEL,
  forgetDatabase,
  noteState,
  readQueue,
  registerDatabase,
  unlockClones,
  Waker,
} from '../coordination/index.ts'
import { messageOf } from '../errors.ts'
import { publish } from '../events.ts'
import { isSqlState, removeDatabase, type Session } from '../postgres/index.ts'
import type { RunContext } from './context.ts'
import { makeClone } from './fresh-clone.ts'

/** How long the queue sleeps when nobody wakes it (ms): the end of a lease sends no notification. */
const RECHECK_MS = 250

export class SpareQueue {
  readonly #session: Session
  readonly #context: RunContext
  readonly #wanted: number
  #stopping = false
  #waker: Waker | undefined
  #work: Promise<void> = Promise.resolve()

  /** `wanted`: clones that lie ready at most. */
  constructor(session: Session, context: RunContext, wanted: number) {
    this.#session = session
    this.#context = context
    this.#wanted = wanted
  }

  start(): void {
    this.#work = this.#run().catch((error: unknown) => {
      // Workers clone for themselves when there is no spare one.
      if (this.#session.lost.aborted || this.#stopping) return
      publish('warning.raised', { message: `no databases are made in advance any more: ${messageOf(error)}` })
    })
  }

  /** Ends the work after the present statement; the databases stay. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#waker?.wake()
    await this.#work
  }

  /** After the last test: drops what is left of the run. */
  async clear(): Promise<void> {
    await this.stop()
    const { rows } = await this.#session.query<{ name: string }>(
      `update testdb.databases set state = 'dropping' where run_id = $1 and state = 'spare' returning name`,
      [this.#context.runId],
    )
    const { used } = await readQueue(this.#session, this.#context.runId)
    for (const name of new Set([...rows.map((row) => row.name), ...used])) await this.#drop(name)
  }

  async #run(): Promise<void> {
    const waker = await Waker.listen(this.#session, CHANNEL.databases)
    this.#waker = waker
    try {
      while (!this.#stopping) {
        const { spares, urgent, used } = await readQueue(this.#session, this.#context.runId)
        if (urgent === 0 && spares < this.#wanted) await this.#make()
        else if (urgent === 0 && used[0] !== undefined && (await this.#drop(used[0]))) continue
        else await waker.wait(RECHECK_MS)
      }
    } finally {
      await waker.close()
    }
  }

  async #make(): Promise<void> {
    const { template, runId, project } = this.#context
    if (!template) throw new Error('bug: a shared database has no clones')
    const name = await registerDatabase(this.#session, { templateId: template.id, runId, slot: null, project })
    try {
      await makeClone(this.#session, this.#context, name)
      await noteState(this.#session, name, 'spare')
    } catch (error) {
      if (!isSqlState(error, 'duplicateDatabase')) throw error
      await forgetDatabase(this.#session, name)
    } finally {
      // This session lives on; a lock that stayed would look like a clone that is being made.
      if (!this.#session.lost.aborted) await unlockClones(this.#session)
    }
  }

  /** False when somebody is still connected; the next look tries again. */
  async #drop(name: string): Promise<boolean> {
    try {
      await removeDatabase(this.#session, name)
    } catch (error) {
      if (isSqlState(error, 'objectInUse')) return false
      throw error
    }
    await forgetDatabase(this.#session, name)
    publish('database.pruned', { database: name, reason: 'used' })
    return true
  }
}
