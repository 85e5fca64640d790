/** One shared database that others migrate and unlock with plain Knex, in loops, while runs of testdb start on it. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withSession } from '../../../src/postgres/index.ts'
import { NOTE_ESM, vitestConfig } from '../files.ts'
import { expectExit, type Files, follow, type Live, makeProject, type Project, runIn, startIn } from '../project.ts'
import { type Registry, startUrlServer, type UrlServer, WAIT_ESM, whileHeld } from './lab.ts'

const RUNS = 3
const NAMES = ['001.js', '002.js', '003.js', '004.js']

/** All but the first run outside of a transaction, which is where Knex keeps processes apart least. */
const migration = (index: number): string => `import { note } from '../note.js'
import { gate } from '../wait.js'
${index === 0 ? '' : 'export const config = { transaction: false }\n'}
export async function up(knex) {
  if (${index} === 1 && process.env.HELD) {
    note({ held: true })
    await gate()
  }
  await knex.raw('select pg_sleep(0.1)')
  await knex.schema.createTable('step_${index}', (table) => table.increments())
  ${index === 0 ? `await knex.schema.createTable('log', (table) => { table.increments(); table.text('name') })` : ''}
  await knex('log').insert({ name: '${NAMES[index]}' })
}
export const down = () => undefined
`

const files: Files = {
  ...NOTE_ESM,
  ...WAIT_ESM,
  ...vitestConfig(),
  'knexfile.js': `export default { client: 'pg', migrations: { directory: './migrations' } }\n`,
  ...Object.fromEntries(NAMES.map((name, index) => [`migrations/${name}`, migration(index)])),
  'a.test.js': `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
test('is migrated', async ({ db }) => {
  expect((await db.query('select name from log order by id')).rows.map(({ name }) => name)).toEqual(${JSON.stringify(NAMES)})
})
`,
  'script.js': `import { createTestDb } from 'testdb'
const testdb = await createTestDb()
const db = await testdb.acquire()
console.log((await db.query('select name from log order by id')).rows.map(({ name }) => name).join())
await testdb.close()
`,
  // Knows nothing of testdb. Loops until the gate is open, or calls once.
  'foreign.js': `import Knex from 'knex'
import { existsSync } from 'node:fs'
import { gate } from './wait.js'
const [method, times] = process.argv.slice(2)
const quiet = () => undefined
const knex = Knex({ client: 'pg', connection: process.env.TESTDB_URL, log: { warn: quiet, error: quiet, deprecate: quiet }, migrations: { directory: './migrations' } })
const seen = new Set()
await knex.raw('select 1')
console.log('ready')
await gate()
do {
  const said = await knex.migrate[method]().then(() => 'ok', (error) => error.name)
  if (!seen.has(said)) console.log('said ' + said)
  seen.add(said)
} while (times !== 'once' && !existsSync(process.env.GATE + '-end'))
await knex.destroy()
`,
}

let server: UrlServer
beforeAll(async () => {
  server = await startUrlServer()
})
afterAll(() => server?.stop())

interface Foreign {
  /** Lets them go. */
  start(): void
  /** Tells them to stop and waits until they have. */
  end(): Promise<void>
  readonly processes: readonly Live[]
}

/** Processes that have connected and wait for `start`. */
async function foreigners(project: Project, env: Record<string, string>, calls: readonly string[][]): Promise<Foreign> {
  const gate = env.GATE as string
  const processes = calls.map((args) => follow(startIn(project, 'node', ['foreign.js', ...args], { env })))
  await Promise.all(processes.map((one) => one.until(/ready\n/)))
  return {
    processes,
    start: () => writeFileSync(gate, ''),
    async end() {
      writeFileSync(gate, '')
      writeFileSync(`${gate}-end`, '')
      await Promise.all(processes.map(({ child }) => child))
    },
  }
}

async function prepare(name: string): Promise<{ project: Project; registry: Registry; env: Record<string, string> }> {
  const registry = await server.registry(`${name}_test`)
  const project = await makeProject(`foreign-${name}`, files)
  const env = { TESTDB_URL: registry.url, TESTDB_ISOLATION: 'shared', GATE: path.join(project.root, 'gate') }
  return { project, registry, env }
}

/** Each migration once, one lock row, and nothing of testdb's runs. */
async function expectMigratedOnce(registry: Registry): Promise<void> {
  expect(await registry.ask('select name from knex_migrations order by id')).toEqual(NAMES.map((name) => ({ name })))
  expect(await registry.ask('select name from log order by id')).toEqual(NAMES.map((name) => ({ name })))
  expect(await registry.ask('select is_locked from knex_migrations_lock')).toEqual([{ is_locked: 0 }])
  await registry.expectNothingLeft()
}

test(`${RUNS} runs while others migrate and free the lock without asking`, async () => {
  const { project, registry, env } = await prepare('free')
  const foreign = await foreigners(project, env, [['latest'], ['latest'], ['forceFreeMigrationsLock']])
  foreign.start()
  try {
    const outcomes = await Promise.all(Array.from({ length: RUNS }, () => runIn(project, 'vitest', ['run'], { env })))
    for (const outcome of outcomes) expectExit(outcome, 0)
  } finally {
    await foreign.end()
  }
  for (const { output } of foreign.processes) expect(output()).toContain('said ok')

  // Whatever the others have made of the lock, the next run leaves one row.
  expectExit(await runIn(project, 'node', ['script.js'], { env }), 0)
  await expectMigratedOnce(registry)
})

test('a migration that somebody else ran meanwhile, after freeing the lock: the runs go on after it', async () => {
  const { project, registry, env } = await prepare('overtaken')
  const runs = Array.from({ length: RUNS }, () =>
    runIn(project, 'vitest', ['run'], { env: { ...env, HELD: 'in the second migration' } }),
  )
  const gate = env.GATE as string
  const other = { ...env, GATE: `${gate}-other` }
  const outcomes = await whileHeld({ runs, gate, arrived: () => project.notes().length > 0 }, async () => {
    for (const method of ['forceFreeMigrationsLock', 'latest']) {
      const foreign = await foreigners(project, other, [[method, 'once']])
      await foreign.end()
      expect(foreign.processes[0]?.output()).toContain('said ok')
    }
  })

  expect(outcomes.map(({ stderr }) => stderr).join('\n')).toContain('was faster with 002.js')
  await expectMigratedOnce(registry)
})

test('two lock rows, which no Knex gets rid of: healed although the processes that made them go on trying', async () => {
  const { project, registry, env } = await prepare('rows')
  await registry.ask(
    'create table knex_migrations (id serial primary key, name text, batch int, migration_time timestamptz)',
  )
  await registry.ask('create table knex_migrations_lock (index serial primary key, is_locked int)')
  const foreign = await foreigners(project, env, [['latest'], ['latest']])
  try {
    // Both look into the empty table, both want to insert the row, and neither can before the other has looked.
    await withSession(registry.target, { applicationName: 'e2e test' }, async (session) => {
      await session.transaction(async () => {
        await session.query('lock table knex_migrations_lock in exclusive mode')
        foreign.start()
        const waiting = (): Promise<number> =>
          registry
            .ask<{ n: number }>(
              `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            )
            .then((rows) => rows[0]?.n ?? 0)
        await expect.poll(waiting, { timeout: 20_000 }).toBe(2)
      })
    })
    await Promise.all(foreign.processes.map((one) => one.until(/said MigrationLocked\n/)))
    expect(await registry.ask('select is_locked from knex_migrations_lock')).toEqual([
      { is_locked: 0 },
      { is_locked: 0 },
    ])

    const outcomes = await Promise.all(
      Array.from({ length: RUNS }, () => runIn(project, 'node', ['script.js'], { env })),
    )

    for (const outcome of outcomes) expect(expectExit(outcome, 0).stdout).toBe(NAMES.join())
    // With one row again the others get on as well.
    await Promise.all(foreign.processes.map((one) => one.until(/said ok\n/)))
  } finally {
    await foreign.end()
  }
  await expectMigratedOnce(registry)
})
