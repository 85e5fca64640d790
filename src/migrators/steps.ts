/** One step of a migrator: asked before, told to everybody, timed. Every migrator runs its migrations through this. */
import { type MigrationStep, publish } from '../events.ts'
import type { MigrationTarget } from './migrator.ts'

/** Runs one migration. Throws the signal's reason instead of starting when the caller may no longer migrate. */
export async function runStep<T>(
  target: Pick<MigrationTarget, 'signal' | 'onStep'>,
  step: MigrationStep,
  body: () => Promise<T> | T,
): Promise<T> {
  target.signal.throwIfAborted()
  target.onStep(step)
  publish('migration.started', step)
  const started = performance.now()
  const result = await body()
  publish('migration.finished', { ...step, durationMs: performance.now() - started })
  return result
}

/** What our sessions on the database are called in `pg_stat_activity` while they migrate or seed. */
export const MIGRATE_APPLICATION = 'testdb migrate'

/** The server settings that a target asks for. */
export function sessionSettings(target: Pick<MigrationTarget, 'lockTimeoutMs'>): Record<string, string> {
  return target.lockTimeoutMs === undefined ? {} : { lock_timeout: String(target.lockTimeoutMs) }
}
