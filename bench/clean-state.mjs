// Five ways to a database in its migrated state, on one server in one run. Prints medians and ratios.
//
//   npm run bench
//
// Rivals: dropping, creating and migrating again (what teams do per file), and truncating every table (what they do per test).
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestDb } from '../dist/index.mjs'
import { functionMigrator } from '../dist/migrators.mjs'

const knex = createRequire(import.meta.url)('knex')
const ROUNDS = 15
const SEEDED = 20

/** Tables with foreign keys to one of the seeded ones, as an application has them. */
async function migrate(db, tables) {
  for (let i = 0; i < tables; i++) {
    await db.schema.createTable(`t${i}`, (t) => {
      t.increments()
      t.text('name')
      if (i >= SEEDED)
        t.integer('ref')
          .references('id')
          .inTable(`t${i % SEEDED}`)
      t.index('name')
    })
    if (i < SEEDED) await db(`t${i}`).insert(Array.from({ length: 20 }, (_, n) => ({ name: `seed ${n}` })))
  }
}

/** What a test leaves behind: one row in each of five tables. */
async function dirty(query) {
  for (let i = 0; i < 5; i++) await query(`insert into t${SEEDED + i} (name, ref) values ('x', 1)`)
}

async function median(action, prepare) {
  const times = []
  for (let i = 0; i < ROUNDS; i++) {
    await prepare?.()
    const startedAt = performance.now()
    await action()
    times.push(performance.now() - startedAt)
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1]
}

async function measure(tables) {
  const migrator = functionMigrator({
    name: 'bench',
    hash: `clean-state ${tables}`,
    migrate: async ({ url }) => {
      const db = knex({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
      await migrate(db, tables)
      await db.destroy()
    },
  })
  const rows = []
  for (const reset of ['truncate', 'clone']) {
    const testdb = await createTestDb({
      server: { kind: 'embedded', storage: 'disk' },
      migrator,
      reset,
      role: { superuser: true },
    })
    const database = await testdb.acquire()
    rows.push([
      `testdb reset: ${reset}`,
      await median(
        () => database.reset(),
        () => dirty((sql) => database.query(sql)),
      ),
    ])
    if (reset === 'clone') {
      await testdb.close()
      continue
    }

    const all = Array.from({ length: tables }, (_, i) => `t${i}`).join(', ')
    const seed = () =>
      Promise.all(
        Array.from({ length: SEEDED }, (_, i) =>
          database.query(`insert into t${i} (name) select 'seed ' || n from generate_series(0, 19) n`),
        ),
      )
    const truncateAll = async () => {
      await database.query(`truncate ${all} restart identity cascade`)
      await seed()
    }
    rows.push([
      'truncate every table, seed again',
      await median(truncateAll, () => dirty((sql) => database.query(sql))),
    ])

    const admin = knex({ client: 'pg', connection: database.url, pool: { min: 0, max: 1 } })
    const url = new URL(database.url)
    url.pathname = '/bench_again'
    const again = async () => {
      await admin.raw('drop database if exists bench_again')
      await admin.raw('create database bench_again template template0')
      const db = knex({ client: 'pg', connection: url.href, pool: { min: 0, max: 1 } })
      await migrate(db, tables)
      await db.destroy()
    }
    const startedAt = performance.now()
    await again()
    rows.push(['drop, create, migrate again', performance.now() - startedAt])
    await admin.raw('drop database bench_again')
    await admin.destroy()
    await testdb.close()
  }
  return rows
}

const cache = await mkdtemp(join(tmpdir(), 'testdb-bench-'))
// As root, Postgres runs as another user, who must be able to pass through.
await chmod(cache, 0o755)
process.env.TESTDB_CACHE_DIR = cache
try {
  for (const tables of [50, 300]) {
    const rows = await measure(tables)
    const fastest = Math.min(...rows.map(([, ms]) => ms))
    console.log(`\n${tables} tables, ${SEEDED} of them with 20 seeded rows, 5 tables written to (median of ${ROUNDS})`)
    for (const [name, ms] of rows.sort((a, b) => a[1] - b[1])) {
      console.log(`  ${name.padEnd(34)} ${ms.toFixed(1).padStart(9)} ms  ${(ms / fastest).toFixed(1).padStart(7)} ×`)
    }
  }
} finally {
  execFileSync(process.execPath, [new URL('../dist/cli.mjs', import.meta.url).pathname, 'down', '--force'], {
    stdio: 'ignore',
  })
  await rm(cache, { recursive: true, force: true })
}
