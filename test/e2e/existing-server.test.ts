/** The example of a team with a compose file, in both of its steps, on a server by URL. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { globSync } from 'tinyglobby'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Registry, startUrlServer, type UrlServer } from './collisions/lab.ts'
import { expectExit, makeProject, type Project, runIn } from './project.ts'

const example = path.resolve(import.meta.dirname, '../../examples/existing-server')

let server: UrlServer
let registry: Registry
let project: Project
beforeAll(async () => {
  server = await startUrlServer()
  registry = await server.registry('shop_test')
  const files = globSync('**/*.js', { cwd: example, ignore: ['node_modules/**'] })
  project = await makeProject(
    'existing-server',
    Object.fromEntries(files.map((file) => [file, readFileSync(path.join(example, file), 'utf8')])),
  )
})
afterAll(() => server?.stop())

/** The command of a script of the example's package.json, with its variables. */
function script(name: string): { readonly env: Record<string, string>; readonly words: readonly string[] } {
  const { scripts } = JSON.parse(readFileSync(path.join(example, 'package.json'), 'utf8'))
  const words = (scripts[name] as string).split(' ')
  const isVariable = (word: string): boolean => /^[A-Z_]+=/.test(word)
  const env = Object.fromEntries(words.filter(isVariable).map((word) => word.split('=') as [string, string]))
  return { env, words: words.filter((word) => !isVariable(word)) }
}

async function run(name: string): Promise<string> {
  const { env, words } = script(name)
  const [command = '', ...args] = words
  const outcome = await runIn(project, command, args, { env: { ...env, TESTDB_URL: registry.url } })
  return expectExit(outcome, 0).output
}

const databases = async (): Promise<number> =>
  (await registry.ask<{ n: number }>(`select count(*)::int as n from pg_database where datname like 'testdb\\_%'`))[0]
    ?.n ?? 0

test('step 1: one shared database, migrated once, and no other is made', async () => {
  for (const output of [await run('test:shared'), await run('test:shared')]) expect(output).toMatch(/Tests\s+4 passed/)
  expect(await registry.ask('select name from knex_migrations')).toHaveLength(2)
  expect(await databases()).toBe(0)
})

test('step 2: the same tests and those that count everything, each worker in a database of its own', async () => {
  expect(await run('test')).toMatch(/Tests\s+10 passed/)
  expect(await databases()).toBeGreaterThan(1)
  await registry.expectNothingLeft()
})
