/** Loads Knex from the user's project: its version decides how migrations behave, ours would be another one. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { TestDbError } from '../errors.ts'
import type { KnexFactory } from './knex-types.ts'

export interface KnexPackage {
  readonly version: string
  /** Evaluates Knex on first use only: hashing needs nothing but the version. */
  load(): KnexFactory
}

/** Looks from each folder in turn: a monorepo may have Knex beside the knexfile only. */
export function findKnex(folders: readonly string[]): KnexPackage {
  for (const folder of folders) {
    const require = createRequire(join(folder, 'package.json'))
    try {
      const { version } = require('knex/package.json') as { version: string }
      return {
        version,
        load: () => {
          const loaded = require('knex') as KnexFactory & { default?: KnexFactory; knex?: KnexFactory }
          return loaded.knex ?? loaded.default ?? loaded
        },
      }
    } catch (error) {
      if ((error as { readonly code?: unknown }).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new TestDbError('TESTDB_PEER_MISSING', `knex is not installed in ${folders[0]}. Install it: npm i -D knex`, {
    details: { package: 'knex', install: 'npm i -D knex' },
  })
}

export function hasKnex(folder: string): boolean {
  try {
    findKnex([folder])
    return true
  } catch {
    return false
  }
}
