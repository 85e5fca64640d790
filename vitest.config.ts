import { defineConfig } from 'vitest/config'

// What `.ci/run` leaves out so that it ends within 20 minutes on two processors, also on slow ones: each takes a quarter of a minute to two of real
// runners or processes, and guards the surroundings of what other files test in short. `npm test` runs them. The first two, and
// `reset`, are run by the matrix.
const slow = [
  'test/e2e/{vitest,jest}.test.ts',
  'test/e2e/{bad-input,blocks,budget,cache-restored,existing-server,failed,failures}.test.ts',
  'test/e2e/{named-databases,not-disposable,pg-mem,refused,report,reset,rollback}.test.ts',
  'test/e2e/{schema,scope,shared,storm,test-ends,watch}.test.ts',
  'test/e2e/environment/*.test.ts',
  'test/e2e/collisions/{caches,checkouts,clean-up,foreign,monorepo,names,projects,runners}.test.ts',
  'test/server/embedded/{embedded,environment,memory,places}.pg.test.ts',
  'test/server/embedded/{embedded,login,machine}.crash.test.ts',
  'test/crash/schema.crash.test.ts',
  'test/databases/{attacked,spares}.pg.test.ts',
  'test/templates/sweep.pg.test.ts',
  'test/page/*.test.ts',
]
const leftOut = process.env.TESTDB_TEST_ALL === '0' ? slow : []

const e2e = ['test/e2e/**/*.test.ts', 'test/chaos/**/*.test.ts', 'test/package.test.ts']
const processes = ['test/cli/**/*.test.ts', 'test/server/**/*.test.ts', 'test/**/*.crash.test.ts']
const containers = ['test/containers/**/*.test.ts']
// Needs a browser: `npm run test:page`.
const page = ['test/page/**/*.test.ts']
const pg = ['test/**/*.pg.test.ts']
const globalSetup = ['test/helpers/global-server.ts', 'test/helpers/global-build.ts']

// The suffix tells a test's cost: `.test.ts` does no I/O, `.pg.test.ts` needs a real server, `.crash.test.ts` kills
// real processes, `e2e/` runs real runners on the installed tarball.
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...e2e, ...processes, ...containers, ...page, ...pg],
          testTimeout: 20_000,
          // They share nothing that they could spoil; to load everything for each file would take three times as long.
          isolate: false,
        },
      },
      {
        test: {
          name: 'pg',
          include: pg,
          exclude: [...processes, ...leftOut],
          globalSetup,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // As in `unit`.
          isolate: false,
        },
      },
      {
        test: {
          name: 'processes',
          include: processes,
          exclude: leftOut,
          globalSetup,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: 'page', include: page, exclude: leftOut, testTimeout: 180_000, hookTimeout: 120_000 } },
      {
        // Needs an engine: `npm run test:containers` looks for one, or starts one.
        test: {
          name: 'containers',
          include: containers,
          globalSetup: ['test/helpers/global-build.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: e2e,
          exclude: leftOut,
          globalSetup: ['test/e2e/home.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
