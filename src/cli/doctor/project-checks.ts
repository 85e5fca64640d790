/** What the project brings: migrations, seed, a runner that knows of testdb. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { globSync } from 'tinyglobby'
import type { ResolvedConfig } from '../../config/config.ts'
import { chooseMigrator } from '../../migrators/detect.ts'
import { loadSeed } from '../../migrators/seed.ts'
import { plural } from '../../report/format.ts'
import { type Check, fromError, ok, warning } from './check.ts'

/** Migrations and seed of each database. */
export async function checkDatabases(config: ResolvedConfig): Promise<Check[]> {
  if (config.others.length === 0) return [await checkMigrator(config), ...(await checkSeed(config))]
  const checks: Check[] = []
  for (const one of [config, ...config.others]) {
    const own = [await checkMigrator(one), ...(await checkSeed(one))]
    checks.push(...own.map((check) => ({ ...check, message: `${one.databaseName}: ${check.message}` })))
  }
  return checks
}

async function checkMigrator({ root, environment, migrator }: ResolvedConfig): Promise<Check> {
  try {
    const { definition, reason } = migrator
      ? { definition: migrator, reason: 'set in the configuration' }
      : await chooseMigrator(root, environment)
    const { summary, count } = await definition.load({ root, environment })
    return ok('migrator', `${plural(count, 'migration')} with ${summary}, because ${reason}`)
  } catch (error) {
    return fromError('migrator', error)
  }
}

async function checkSeed({ root, seed }: ResolvedConfig): Promise<Check[]> {
  if (seed === undefined) return []
  try {
    const loaded = await loadSeed(seed, root)
    return loaded === undefined ? [] : [ok('seed', `seed ${loaded.summary}`)]
  } catch (error) {
    return [fromError('seed', error)]
  }
}

const RUNNER_FILES = ['{vitest,vite,jest}.config.{ts,mts,cts,js,mjs,cjs}', 'vitest.workspace.*', 'package.json']

/** A text search: a runner's configuration can be put together in any way, so this is a hint and never a failure. */
export function checkRunner({ root }: ResolvedConfig): Check {
  const files = globSync(RUNNER_FILES, { cwd: root }).sort()
  const naming = files.filter((file) => mentions(path.join(root, file)))
  if (naming.length > 0) return ok('runner', `testdb is named in ${naming.join(', ')}`)
  return warning(
    'runner',
    'no runner configuration names testdb (that is fine with createTestDb, node:test and `testdb run`)',
    "Vitest: `globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup']` in vitest.config.ts",
    "Jest: `preset: 'testdb'` in the configuration of Jest",
  )
}

/** In package.json the dependency itself does not count, only a use such as `"preset": "testdb"` or a script. */
function mentions(file: string): boolean {
  const text = readFileSync(file, 'utf8')
  if (path.basename(file) !== 'package.json') return text.includes('testdb')
  try {
    const { jest, vitest, scripts } = JSON.parse(text) as Record<string, unknown>
    return JSON.stringify([jest, vitest, scripts]).includes('testdb')
  } catch {
    return false
  }
}
