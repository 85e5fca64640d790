// A database of a run, and the guards around it as a runner calls them: from the source, because no entry of the package has them alone.
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestDb } from '../../dist/index.mjs'
import { acquireDatabase } from '../../src/acquire.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { DEFAULT_GUARDS } from '../../src/guards/levels.ts'
import { functionMigrator } from '../../src/migrators/function.ts'
import { endTest } from '../../src/runners/after-test.ts'
import { fileBegins, fileEnds, testBegins, watchGuards, wroteLate } from '../../src/runners/guards/watch.ts'
import { Suites } from '../../src/runners/suites.ts'
import { startRun } from '../../src/start-run.ts'
import { migrate } from '../reset/schema.mjs'

const OFF = Object.fromEntries(Object.keys(DEFAULT_GUARDS).map((guard) => [guard, 'off']))
const TABLES = 100

export async function openPlace() {
  const cache = await mkdtemp(join(tmpdir(), 'testdb-bench-'))
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(cache, 0o755)
  process.env.TESTDB_CACHE_DIR = cache
  const options = {
    migrator: functionMigrator({ name: 'bench', hash: 'guards', migrate: ({ url }) => migrate(url, TABLES) }),
    role: { superuser: true },
  }
  const server = await createTestDb(options)
  const url = new URL((await server.acquire()).url)
  url.pathname = '/postgres'
  const config = await resolveConfig({ options: { ...options, server: { kind: 'url', url: url.href, allow: true } } })
  const run = await startRun(config, { runner: 'bench', slots: 1 })
  const database = await acquireDatabase(run.context, { slot: '1' })
  const suites = new Suites(database, ({ name }) => name)
  return {
    database,
    /** What a runner does between two tests. */
    guarded(on) {
      watchGuards({ ...run.context, guards: { ...(on ? DEFAULT_GUARDS : OFF), manyQueries: undefined } }, database)
      fileBegins('bench.test.js')
      let test = {}
      const began = testBegins(test, 'bench')
      return {
        async between() {
          await began
          await endTest({
            test,
            failed: false,
            report: async () => undefined,
            putBack: (begun) => suites.leaveTest('bench', begun),
          })
          await wroteLate()
          test = {}
          await testBegins(test, 'bench')
        },
        async end() {
          const verdict = await fileEnds({ processStays: false })
          verdict?.judge(true)
        },
      }
    },
    async close() {
      await database.release()
      await run.close()
      await server.close()
      execFileSync(process.execPath, [join(import.meta.dirname, '../../dist/cli.mjs'), 'down', '--force'], {
        stdio: 'ignore',
      })
      await rm(cache, { recursive: true, force: true })
    },
  }
}
