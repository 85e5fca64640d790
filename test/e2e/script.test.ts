/** The package without a runner: from scripts of both module systems, and as TypeScript sees it. */
import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { KNEX_CJS } from './files.ts'
import { expectExit, expectNothingLeft, makeProject, type Project, runIn } from './project.ts'
import { inventory } from './servers.ts'

const TSC = path.resolve(import.meta.dirname, '../../node_modules/typescript/bin/tsc')

const body = `
async function main() {
  const testdb = await createTestDb({ pool: { max: 3 } })
  const [a, b] = await Promise.all([testdb.acquire(), testdb.acquire()])
  const count = async (db) => (await db.query('select count(*)::int as n from notes')).rows[0].n
  await a.knex()('notes').insert({ body: 'x' })
  const counts = [await count(a), await count(b)]
  await a.reset()
  counts.push(await count(a))
  await a.release()
  const again = await testdb.acquire()
  console.log(JSON.stringify({ counts, different: a.name !== b.name, again: again.name === a.name, max: a.connection.max }))
  if (process.argv[2] === 'exit') process.exit(0)
  await testdb.close()
}
main()
`

let project: Project
beforeAll(async () => {
  project = await makeProject('script', {
    'package.json': { name: 'script', private: true },
    ...KNEX_CJS,
    'esm.mjs': `import { createTestDb } from 'testdb'\n${body}`,
    'cjs.cjs': `const { createTestDb } = require('testdb')\n${body}`,
  })
})

test.each(['esm.mjs', 'cjs.cjs'])('%s: acquires, resets, releases, and ends by itself', async (file) => {
  const outcome = expectExit(await runIn(project, 'node', [file], { timeout: 20_000 }), 0)

  expect(JSON.parse(outcome.stdout)).toEqual({ counts: [1, 0, 0], different: true, again: true, max: 3 })
  await expectNothingLeft(project)
})

test('a script that exits without closing leaves nothing after the next run', async () => {
  expectExit(await runIn(project, 'node', ['esm.mjs', 'exit']), 0)
  expectExit(await runIn(project, 'node', ['esm.mjs']), 0)

  await expectNothingLeft(project)
  expect((await inventory({ projectRoot: project.root })).databases).toHaveLength(2)
})

test('its errors can be told apart by code', async () => {
  project.write({
    'error.cjs': `const { createTestDb, isTestDbError } = require('testdb')
createTestDb({ reset: 'never', pool: { maximum: 3 } }).catch((error) => console.log(isTestDbError(error), error.code))\n`,
  })

  const outcome = expectExit(await runIn(project, 'node', ['error.cjs']), 0)

  expect(outcome.stdout).toBe('true TESTDB_CONFIG_INVALID')
})

const usage = (testdb: string, fixtures: string, migrators: string): string => `
${testdb}
${fixtures}
${migrators}
export const config = defineConfig({
  migrator: knexMigrator({ directory: 'migrations' }),
  reset: 'clone',
  seed: async ({ query }) => void (await query('select 1')),
})
// @ts-expect-error: an unknown strategy
defineConfig({ reset: 'sometimes' })
// @ts-expect-error: an unknown key
defineConfig({ migrater: undefined })
export async function use(): Promise<number> {
  const testdb = await createTestDb({ pool: { max: 2 } })
  const db: Database = await testdb.acquire()
  const { rows } = await db.query<{ n: number }>('select 1 as n')
  const found: { id: number }[] = await db.knex()<{ id: number }>('notes').select('id')
  const client = await db.pool.connect()
  client.release()
  // @ts-expect-error: there is no such method, so the pool is not any
  db.pool.conect()
  await testdb.close()
  return (rows[0]?.n ?? 0) + found.length
}
export function code(error: unknown): ErrorCode | undefined {
  return isTestDbError(error) ? error.code : undefined
}
`

const fixture = `
test('typed', async ({ db }) => {
  const name: string = db.name
  // @ts-expect-error: a name is no number
  const wrong: number = db.name
  void name
  void wrong
})
`
test('types, for import and for require', async () => {
  const types = await makeProject('types', {
    'tsconfig.json': {
      compilerOptions: {
        ...{
          module: 'node16',
          moduleResolution: 'node16',
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable', 'dom'],
        },
        ...{ strict: true, noEmit: true, skipLibCheck: true, types: ['node'], esModuleInterop: true },
      },
      files: ['esm.mts', 'cjs.cts', 'config.ts'],
    },
    'esm.mts':
      usage(
        `import { createTestDb, type Database, defineConfig, type ErrorCode, isTestDbError } from 'testdb'`,
        `import { test } from 'testdb/vitest/fixtures'\nimport testdbPlugin from 'testdb/vitest/plugin'\nimport globalSetup from 'testdb/vitest'`,
        `import { knexMigrator } from 'testdb/migrators'`,
      ) +
      fixture +
      `export const plugins = [testdbPlugin()]\nexport const setup: Function = globalSetup\n`,
    'cjs.cts': usage(
      `import { createTestDb, type Database, defineConfig, type ErrorCode, isTestDbError } from 'testdb'`,
      `import jestSetup = require('testdb/jest')\nexport const setup: Function = jestSetup`,
      `import { knexMigrator } from 'testdb/migrators'`,
    ),
    'config.ts': `import testdb from 'testdb/vitest/plugin'
import { defineConfig } from 'vitest/config'
export default defineConfig({ plugins: [testdb()] })
`,
  })

  expectExit(await runIn(types, 'node', [TSC, '-p', '.']), 0)
})
