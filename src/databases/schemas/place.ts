/**
 * A schema as what a lease holds. The lock, the row and the schema are all in one database, so the session of the lease does everything;
 * only what needs the migrations is asked of the run's own process.
 *
 * What if the process dies here? The lock is free and the row says held: the next taker puts the schema back, or asks for it to be
 * made anew. While it waits for that, the row says wanted: it is made all the same.
 */
import { noteHeld, noteSchema, type SchemaRow } from '../../coordination/index.ts'
import { endSchemaWork, unlock } from '../../postgres/index.ts'
import type { RunContext } from '../context.ts'
import type { Place } from '../place.ts'
import { isUnchanged, strategyIn } from './strategy.ts'
import { waitForSchema } from './wait.ts'

export function schemaPlace(context: RunContext, { id, name }: Pick<SchemaRow, 'id' | 'name'>, slot: string): Place {
  const strategy = strategyIn(name, context.reset)
  const { leavesClean } = strategy
  return {
    name,
    what: `the schema ${name}`,
    renewed: 'migrated anew',
    strategy,
    async renew(held) {
      try {
        await noteSchema(held, id, { state: 'wanted', request: held.backendPid })
        await unlock(held, 'schema', id)
        await waitForSchema(held, context, { id, name }, { slot, leavesClean })
        return { session: held, crashed: false }
      } catch (error) {
        // Without the lock it is not ours, and every later use has to fail.
        await held.close()
        throw error
      }
    },
    async take(held) {
      await noteHeld(held, id, { slot, leavesClean })
      return false
    },
    async settle(held) {
      const unchanged = !leavesClean || (await isUnchanged(held, name))
      // The process of the run makes it anew as soon as the lock is free.
      await noteSchema(
        held,
        id,
        unchanged ? { state: 'ready', clean: leavesClean } : { state: 'wanted', request: null },
      )
      return unchanged
    },
    endWork: (held) => endSchemaWork(held, name),
  }
}
