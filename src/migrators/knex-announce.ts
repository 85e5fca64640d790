/** Sources that announce each migration and seed, and remember which one is running, for Knex does not tell when it fails. */

import { messageOf } from '../errors.ts'
import { publish } from '../events.ts'
import { failure } from './failure.ts'
import { portableName } from './hash-files.ts'
import type { ScriptFile } from './knex-folders.ts'
import type { KnexProject } from './knex-project.ts'
import type { KnexMigration, KnexMigrationSource, KnexSeedSource } from './knex-types.ts'
import type { MigrationTarget } from './migrator.ts'
import { runStep } from './steps.ts'

export interface Progress {
  current: { readonly kind: 'migration' | 'seed'; readonly name: string; readonly file: string | undefined } | undefined
  /** The last migration that has ended. */
  last: string | undefined
  /** Which statement an error belongs to. */
  readonly sqlOf: WeakMap<Error, string>
}

type Steps = Pick<MigrationTarget, 'signal' | 'onStep'>

export function announceMigrations(
  project: KnexProject,
  source: KnexMigrationSource,
  target: Steps,
  progress: Progress,
): KnexMigrationSource {
  // Knex asks for every pending migration, and for no other, before it runs the first: their number is the total.
  const pending = new Map<string, Promise<unknown>>()
  let index = 0

  async function announced(migration: unknown, name: string): Promise<unknown> {
    const file = project.migrationFolders && portableName(project.root, (migration as ScriptFile).path)
    const loaded = await loadOrExplain(() => source.getMigration(migration), 'TESTDB_MIGRATION_FAILED', name, file)
    // Knex has its own words for a file without them.
    if (!isMigration(loaded)) return loaded
    return {
      config: loaded.config,
      down: (knex: unknown) => loaded.down(knex),
      up: async (knex: unknown) => {
        index += 1
        progress.current = { kind: 'migration', name, file }
        const result = await runStep(target, { name, index, total: pending.size }, () => loaded.up(knex))
        progress.last = name
        progress.current = undefined
        return result
      },
    }
  }

  return {
    getMigrations: (extensions) => source.getMigrations(project.migrations.loadExtensions ?? extensions),
    getMigrationName: (migration) => source.getMigrationName(migration),
    getMigration: (migration) => {
      const name = source.getMigrationName(migration)
      const known = pending.get(name)
      if (known) return known
      const loading = announced(migration, name)
      pending.set(name, loading)
      return loading
    },
  }
}

export function announceSeeds(
  project: KnexProject,
  source: KnexSeedSource,
  target: Steps,
  progress: Progress,
): KnexSeedSource {
  return {
    getSeeds: (config) => source.getSeeds(config),
    getSeed: async (given) => {
      const name = project.seedFolders ? portableName(project.root, given as string) : String(given)
      const file = project.seedFolders && name
      const loaded = await loadOrExplain(() => source.getSeed(given), 'TESTDB_SEED_FAILED', name, file)
      const seed = (loaded as { seed?: unknown } | undefined)?.seed
      if (typeof seed !== 'function') {
        const error = new Error('it has no exported function `seed`')
        throw failure({ code: 'TESTDB_SEED_FAILED', name, error, file })
      }
      return {
        seed: async (knex: unknown) => {
          target.signal.throwIfAborted()
          progress.current = { kind: 'seed', name, file }
          publish('seed.started', { name })
          await seed.call(loaded, knex)
          progress.current = undefined
        },
      }
    },
  }
}

async function loadOrExplain(
  load: () => unknown,
  code: 'TESTDB_MIGRATION_FAILED' | 'TESTDB_SEED_FAILED',
  name: string,
  file: string | undefined,
): Promise<unknown> {
  try {
    return await load()
  } catch (error) {
    throw failure({ code, name, error, file, message: `it could not be loaded: ${messageOf(error)}` })
  }
}

function isMigration(loaded: unknown): loaded is KnexMigration {
  const { up, down } = (loaded ?? {}) as { up?: unknown; down?: unknown }
  return typeof up === 'function' && typeof down === 'function'
}
