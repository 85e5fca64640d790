/** Projects that are set up in other ways than the README's. */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { vitestConfig } from '../files.ts'
import { expectNothingLeft, makeProject, runIn } from '../project.ts'
import { inventory } from '../servers.ts'
import { expectGreen, newcomer, PLAIN_SUITE } from './lab.ts'

test('a CommonJS project with vitest.config.mts, the plugin, and no tsconfig', async () => {
  const project = await newcomer('commonjs', {
    'package.json': { name: 'commonjs', private: true, type: 'commonjs' },
    'vitest.config.mts': `import testdb from 'testdb/vitest/plugin'
import { defineConfig } from 'vitest/config'
export default defineConfig({ plugins: [testdb()] })
`,
  })
  project.remove('vitest.config.js')
  expect(readdirSync(project.root)).not.toContain('tsconfig.json')

  expectGreen(await runIn(project, 'vitest', ['run']))
})

test('SQL files from Windows: byte order marks and CRLF', async () => {
  const BOM = String.fromCharCode(0xfeff)
  const windows = (...lines: readonly string[]): string => `${BOM}${lines.join('\r\n')}\r\n`
  const project = await newcomer('windows-sql', {
    'migrations/001_teams.sql': windows(
      'create table teams (id int generated always as identity primary key, name text not null unique);',
      "insert into teams (name) values ('red'), -- a comment; with a semicolon",
      "  ('blue');",
    ),
    'migrations/002_notes.sql': windows(
      '-- a comment first',
      'create table notes (id int generated always as identity primary key, body text not null);',
      'do $$',
      "begin execute 'comment on table notes is ''x;y'''; end",
      '$$;',
    ),
  })

  expectGreen(await runIn(project, 'vitest', ['run']))
})

const KNEX_TS = {
  'knexfile.ts': `import type { Knex } from 'knex'
enum Folder { Migrations = './db/migrations' }
const config: Record<string, Knex.Config> = {
  test: { client: 'pg', migrations: { directory: Folder.Migrations, extension: 'ts' } },
}
export default config
`,
  'db/migrations/001_all.ts': `import { Knex } from 'knex'
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('teams', (table) => { table.increments(); table.text('name').notNullable().unique() })
  await knex('teams').insert([{ name: 'red' }, { name: 'blue' }])
  await knex.schema.createTable('notes', (table) => { table.increments(); table.text('body').notNullable() })
}
export const down = (knex: Knex): Promise<void> => knex.schema.dropTable('notes').dropTable('teams')
`,
}

test.each(['module', 'commonjs'])('a knexfile and migrations in TypeScript, type %s', async (type) => {
  const project = await makeProject(`knex-ts-${type}`, {
    ...vitestConfig(),
    ...KNEX_TS,
    'package.json': { name: 'knex-ts', private: true, type },
    'a.test.mjs': PLAIN_SUITE,
  })
  // Vite's own loader of a .js configuration follows the type of the package.
  const config = type === 'module' ? [] : ['--config', 'vitest.config.mjs']
  if (type === 'commonjs') project.write({ 'vitest.config.mjs': vitestConfig()['vitest.config.js'] ?? '' })

  const outcome = expectGreen(await runIn(project, 'vitest', ['run', ...config]))
  expect(outcome.stderr).toContain('knexfile.ts (test), 1 migration')
})

test('20 files in 8 threads: no more databases than threads, and nothing left', async () => {
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}.test.js`, PLAIN_SUITE]))
  const project = await newcomer('many-files', files)
  project.remove('a.test.js')

  expectGreen(await runIn(project, 'vitest', ['run', '--pool=threads', '--maxWorkers=8']), 40)

  await expectNothingLeft(project)
  const { databases } = await inventory({ projectRoot: project.root })
  expect(databases.length).toBeGreaterThan(0)
  expect(databases.length).toBeLessThanOrEqual(8)
})
