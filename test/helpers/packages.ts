/**
 * The Postgres and the Knex that the tests of the core use: the repository's, or those of the folder that
 * TESTDB_TEST_PACKAGES names, where other versions are installed. The version matrix does that.
 */
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { findBinaries } from '../../src/server/embedded/binaries.ts'

/** Folder with a package.json and node_modules. */
export const packagesRoot = resolve(process.env.TESTDB_TEST_PACKAGES ?? join(import.meta.dirname, '../..'))

export const binaries = findBinaries(packagesRoot)

/** Name of this Postgres' folder in a cache. */
export const CLUSTER = `pg${binaries.major}`

export const fromPackages = createRequire(join(packagesRoot, 'package.json'))

export const folderOf = (name: string): string => join(packagesRoot, 'node_modules', name)
