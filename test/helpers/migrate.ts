/** Shortcuts around the migrator contract. */
import type { MigrationStep } from '../../src/events.ts'
import type { MigrationResult, MigrationTarget, Migrator, MigratorDefinition } from '../../src/migrators/migrator.ts'
import { type ConnectionTarget, withSession } from '../../src/postgres/index.ts'

export function load(definition: MigratorDefinition, root: string, environment = 'test'): Promise<Migrator> {
  return definition.load({ root, environment })
}

export interface Migrated extends MigrationResult {
  readonly steps: readonly MigrationStep[]
}

export async function migrate(
  migrator: Migrator,
  connection: ConnectionTarget,
  options: Partial<MigrationTarget> = {},
): Promise<Migrated> {
  const steps: MigrationStep[] = []
  const signal = new AbortController().signal
  const result = await migrator.migrate({ connection, signal, onStep: (step) => void steps.push(step), ...options })
  return { ...result, steps }
}

export async function rows<R = Record<string, unknown>>(target: ConnectionTarget, sql: string): Promise<R[]> {
  return withSession(target, { applicationName: 'test' }, async (session) => (await session.query<R>(sql)).rows)
}
