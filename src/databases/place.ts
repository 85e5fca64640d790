/** What a lease holds: where it lies, how it is put back and handed over. A database of its own here; a schema in `schemas/`. */
import { type Activity, endSessions, type Session, sessionsOf } from '../postgres/index.ts'
import type { RunContext } from './context.ts'
import { replaceByClone } from './fresh-clone.ts'
import { settleLease, writeLease } from './reset/lease-sql.ts'
import { strategyOf } from './reset/strategies.ts'
import type { ResetStrategy } from './reset/strategy.ts'
import { takeSettled } from './take.ts'

export interface Renewed {
  /** Holds what is new. */
  readonly session: Session
  /** Unlogged tables are empty, because the server went through crash recovery since the template was built. */
  readonly crashed: boolean
}

export interface Place {
  readonly name: string
  /** For messages: what it is, with its name. */
  readonly what: string
  /** For messages: what was done to it by `renew`. */
  readonly renewed: string
  readonly strategy: ResetStrategy
  /** Puts the migrated state in its place under the same name, and closes `held`. */
  renew(held: Session): Promise<Renewed>
  /** Notes that it is taken into use again; true when somebody has written since it was settled. */
  take(held: Session): Promise<boolean>
  /** Notes that its holder has done with it; false when tests have changed its schema, so that nobody may take it as it is. */
  settle(held: Session): Promise<boolean>
  /** Ends the sessions that are at work in it. */
  endWork(held: Session): Promise<readonly Activity[]>
}

/** `once`: it is dropped after its use. */
export function databasePlace(context: RunContext, name: string, once: boolean): Place {
  const { runId } = context
  const strategy = strategyOf(context.reset)
  return {
    name,
    what: `the database ${name}`,
    renewed: 'replaced by a fresh clone',
    strategy,
    renew: (held) => replaceByClone(context, held, once ? 'once' : 'ready'),
    take: (held) => takeSettled(held, context),
    async settle(held) {
      // Not every reset undoes DDL; a database that has seen some serves its worker, and nobody after it.
      if (strategy.leavesClean) return await settleLease(held, runId)
      await writeLease(held, { held: false, clean: false, runId })
      return true
    },
    async endWork(held) {
      const busy = (await sessionsOf(held, name)).filter((one) => one.state !== 'idle')
      await endSessions(held, name, 'busy')
      return busy
    },
  }
}
