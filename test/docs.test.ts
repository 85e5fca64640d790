/** The documentation says what is there: links lead somewhere, commands exist, every key and variable is described. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { ENVIRONMENT_VARIABLES } from '../src/config/environment.ts'
import { resolveConfig } from '../src/config/resolve.ts'

const root = resolve(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const pages = [
  'README.md',
  'CHANGELOG.md',
  'examples/knex-vitest/README.md',
  'examples/locks/README.md',
  'examples/load-test/README.md',
  'examples/existing-server/README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
]

test.each(pages)('%s: relative links lead to files', (page) => {
  const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? '')
  const dead = targets.filter((target) => !existsSync(join(root, dirname(page), target)))
  expect(dead).toEqual([])
})

test('docs/README.md names every page', () => {
  const index = read('docs/README.md')
  const unnamed = pages
    .filter((page) => /^docs\/[^/]+\.md$/.test(page) && page !== 'docs/README.md')
    .filter((page) => !index.includes(`](${page.slice('docs/'.length)})`))
  expect(unnamed).toEqual([])
})

test('the npm scripts that the README and the docs name exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const ours = ['README.md', 'docs/architecture.md'].flatMap((page) =>
    [...read(page).matchAll(/npm run ([a-z:]+)(?! test:legacy)/g)].map((match) => match[1] ?? ''),
  )
  expect(ours.length).toBeGreaterThan(0)
  expect(ours.filter((name) => name !== 'test:legacy' && !(name in scripts))).toEqual([])
})

test('the test command of CI is the one of the README', () => {
  expect(read('README.md')).toContain('npm install && npm test')
  expect(read('.ci/run')).toMatch(/^ +npm install [^\n]*\n[\s\S]*^ +(\w+=\S+ )*npm test /m)
})

test('docs/config.md describes every key and every variable', async () => {
  const page = read('docs/config.md')
  const { origins } = await resolveConfig({ cwd: join(root, 'examples/knex-vitest'), env: {} })
  const keys = Object.keys(origins).map((path) => (path.startsWith('server') ? 'server' : path))
  expect(keys.filter((key) => !page.includes(`\`${key}\``))).toEqual([])
  expect(ENVIRONMENT_VARIABLES.map(({ name }) => name).filter((name) => !page.includes(name))).toEqual([])
})

test('every dependency has its reason in docs/design/dependencies.md', () => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const page = read('docs/design/dependencies.md')
  expect(Object.keys(dependencies).filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})

test('docs/servers.md: each cell of the rights names a test, and each test that is named exists', () => {
  const page = read('docs/servers.md')
  const rows = [...page.matchAll(/^\| (.+) \|$/gm)].map((match) => (match[1] ?? '').split(' | '))
  const named = new Map(
    rows.filter(([number = '']) => /^\d+$/.test(number)).map(([number, file, name]) => [number, { file, name }]),
  )
  const missing = [...named.values()].filter(
    ({ file = '', name = '' }) => !existsSync(join(root, file)) || !read(file).includes(`test('${name}'`),
  )
  expect(missing).toEqual([])
  const first = rows.findIndex(([what]) => what === 'what')
  const table = rows.slice(first + 1, first + 1 + rows.slice(first + 1).findIndex(([what]) => what === 'number'))
  const cells = table.flatMap(([, ...kinds]) => kinds)
  expect(cells.length).toBeGreaterThan(50)
  expect(cells.filter((cell) => ![...cell.matchAll(/\[(\d+)\]/g)].some((match) => named.has(match[1] ?? '')))).toEqual(
    [],
  )
  const used = new Set([...cells.join().matchAll(/\[(\d+)\]/g)].map((match) => match[1]))
  expect([...named.keys()].filter((number) => !used.has(number))).toEqual([])
})
