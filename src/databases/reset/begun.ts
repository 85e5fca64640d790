/** A reset in the same round trip as the look at what a test has left: where there is nothing, the database is back when that is known. */
import { askIfQuiet } from '../../postgres/index.ts'
import type { Begun, ResetStrategy, Resettable } from './strategy.ts'

/** Of the databases of a worker; those that are missing are still to be put back. */
export type BegunResets = ReadonlyMap<object, Begun>

/**
 * Undefined when it was not begun: somebody is at work there, or there is somebody else than backends of `clients`. A reset has to follow
 * in any case. If the process dies here the database is back, and nobody may take it, since its lease says held.
 */
export async function beginReset(
  { session, strategy, name }: Pick<Resettable, 'session' | 'name'> & { readonly strategy: ResetStrategy },
  clients: readonly number[],
): Promise<Begun | undefined> {
  // With a schema for each worker the others are in the same database.
  if (strategy.statement === undefined || name !== session.target.database) return undefined
  const startedAt = performance.now()
  // What fails here fails again, where it is dealt with.
  const outcome = await askIfQuiet(session, strategy.statement, clients).catch(() => undefined)
  return outcome === undefined ? undefined : { outcome, durationMs: performance.now() - startedAt }
}
