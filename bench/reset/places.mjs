// One database for each way back, all on one embedded server.
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestDb } from '../../dist/index.mjs'
import { functionMigrator } from '../../dist/migrators.mjs'
import { addRows, allTables, migrate, seedAll, test } from './schema.mjs'

const pg = createRequire(import.meta.url)('pg')

/** `resets`: the strategies of testdb that get a database. */
export async function openPlaces(tables, resets = ['rows', 'truncate', 'clone']) {
  const cache = await mkdtemp(join(tmpdir(), 'testdb-bench-'))
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(cache, 0o755)
  process.env.TESTDB_CACHE_DIR = cache
  const migrator = functionMigrator({
    name: 'bench',
    hash: `reset ${tables}`,
    migrate: ({ url }) => migrate(url, tables),
  })
  const options = { migrator, role: { superuser: true } }
  const opened = []
  const open = async (reset) => {
    const testdb = await createTestDb({ ...options, reset })
    opened.push(testdb)
    return await testdb.acquire()
  }
  const client = async (url) => {
    const one = new pg.Client(url)
    one.on('error', () => undefined)
    await one.connect()
    opened.push({ close: () => one.end() })
    return one
  }

  const databases = []
  for (const reset of resets) databases.push([reset, await open(reset)])
  const rows = databases[0][1]
  // A copy without testdb's triggers and schema.
  const admin = await client(rows.url)
  await admin.query('create database bench_plain template template0')
  const url = new URL(rows.url)
  url.pathname = '/bench_plain'
  await migrate(url.href, tables)
  const plain = await client(url.href)

  /** As in a test file that has just begun: nothing is cached, nothing is planned. */
  let fresh
  const dirtyForFresh = async () => {
    await fresh?.end()
    fresh = new pg.Client(rows.url)
    fresh.on('error', () => undefined)
    await fresh.connect()
    await rows.query(test)
  }
  opened.push({ close: () => fresh?.end() })

  const dirtyPlain = () => plain.query(test)
  const own = (name, database, slow = false) => ({
    name,
    slow,
    dirty: () => database.query(test),
    reset: () => database.reset(),
  })
  return {
    options,
    rowsUrl: rows.url,
    plainUrl: url.href,
    ways: [
      ...databases.map(([reset, database]) => own(reset, database, reset === 'clone')),
      { ...own('rows, a test that only adds rows', rows), dirty: () => rows.query(addRows) },
      {
        name: 'rows, first reset of a session',
        dirty: dirtyForFresh,
        reset: () => fresh.query('select * from testdb.reset()'),
      },
      {
        name: 'truncate every table, seed again',
        slow: true,
        dirty: dirtyPlain,
        reset: () =>
          plain.query(`truncate ${allTables(tables).join(', ')} restart identity cascade; ${seedAll(tables)}`),
      },
      {
        name: 'delete from every table, seed again',
        slow: true,
        dirty: dirtyPlain,
        reset: () =>
          plain.query(
            `begin; ${allTables(tables)
              .reverse()
              .map((t) => `delete from ${t}`)
              .join('; ')}; ${seedAll(tables)}; commit`,
          ),
      },
      {
        name: 'rollback of one transaction',
        dirty: () => plain.query(`begin; ${test}`),
        reset: () => plain.query('rollback'),
      },
    ],
    async close() {
      for (const one of opened.reverse()) await one.close()
      execFileSync(process.execPath, [join(import.meta.dirname, '../../dist/cli.mjs'), 'down', '--force'], {
        stdio: 'ignore',
      })
      await rm(cache, { recursive: true, force: true })
    },
  }
}
