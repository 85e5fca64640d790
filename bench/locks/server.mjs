// One embedded server in a temporary folder, with one database of its own, for benches that need no schema.
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestDb } from '../../dist/index.mjs'
import { functionMigrator } from '../../dist/migrators.mjs'

export async function openServer(sql) {
  const cache = await mkdtemp(join(tmpdir(), 'testdb-bench-'))
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(cache, 0o755)
  process.env.TESTDB_CACHE_DIR = cache
  const migrator = functionMigrator({ name: 'bench', hash: sql, migrate: ({ query }) => query(sql) })
  const testdb = await createTestDb({ migrator, role: { superuser: true }, pool: { max: 100 } })
  const { url } = await testdb.acquire()
  return {
    url,
    async close() {
      await testdb.close()
      execFileSync(process.execPath, [join(import.meta.dirname, '../../dist/cli.mjs'), 'down', '--force'], {
        stdio: 'ignore',
      })
      await rm(cache, { recursive: true, force: true })
    },
  }
}

export const percentile = (numbers, share) =>
  [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))]
