/**
 * `setupFilesAfterEnv: ['testdb/jest/setup']` (part of `preset: 'testdb'`): puts the database back after each test and gives
 * it back after the last. Where `testdb/jest/acquire` has not leased one, this does, which needs Jest 30.
 *
 * Loaded inside Jest's sandbox, hence as CommonJS, where nothing can be awaited at the top level. Jest 30 awaits the function
 * that a setup file exports, before it loads the test file; Jest 29 does not even call it.
 */
import type { RunContext } from '../../databases/context.ts'
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { endTest, type TestEnd } from '../after-test.ts'
import { reportFailure } from '../failed-test.ts'
import { fileBegins, hooksBegin, nameTestFile, testBegins, wroteLate } from '../guards/watch.ts'
import { assertHeld } from '../held.ts'
import { OneAtATime } from '../one-at-a-time.ts'
import { Suites } from '../suites.ts'
import { currentDatabase, enterFile, hideDatabase, type Leaving, leaveFile, type WorkerContext } from '../worker.ts'
import {
  afterEverything,
  type Block,
  beforeAnything,
  circusState,
  jestGlobals,
  pathOf,
  registerLast,
  runningTest,
  testsToRun,
  watchBlocks,
} from './circus.ts'
import { onlyRun, runOf } from './published.ts'

// Outside of Jest this file is only looked at.
const inJest = circusState() !== undefined
/** Undefined where the run depends on the test file. */
const only = inJest ? onlyRun() : undefined
if (inJest) {
  if (only?.scope === 'test') useDatabasePerTest(only)
  else if (currentDatabase() !== undefined) registerHooks(only ?? runOf(testFile()))
  else beforeAnything(assertAcquired)
}

export default async function setup(): Promise<void> {
  if (currentDatabase() !== undefined || only?.scope === 'test') return
  const context = only ?? runOf(testFile())
  if (context.scope === 'test') return useDatabasePerTest(context)
  const database = await enterFile(context, { slot: slot() })
  // A file that throws while it is loaded runs no hook at all; its lease ends with the process, which it must not keep alive.
  for (const { lease } of database.all) lease?.session.unref()
  registerHooks(context)
}

const slot = (): string => process.env.JEST_WORKER_ID ?? String(process.pid)

/** Jest's processes run one file after the other, with the sockets of all. */
const LEAVING: Leaving = { stays: false, processStays: true }

/** `scope: 'test'`: each test has a database of its own, which goes with it. */
function useDatabasePerTest(context: RunContext): void {
  const leave = async (leaving: Partial<Leaving>): Promise<void> => {
    try {
      await leaveFile({ ...LEAVING, ...leaving })
    } finally {
      hideDatabase(context)
    }
  }
  hideDatabase(context)
  jestGlobals().beforeAll(() => {
    fileBegins(testFile())
    assertOneAtATime(context, testsToRun().concurrent.length > 0)
  })
  beforeAnything(async () => {
    await enterFile(context, { slot: slot() })
    await tellBegin()
  })
  registerLast({
    afterEach: () => tellEnd(context, { last: true, putBack: () => leave({ ofTest: true }) }),
    afterAll: () => leave({}),
  })
  afterEverything(() => leave({ quietly: true }))
}

async function tellBegin(): Promise<void> {
  const test = runningTest()
  if (test) await testBegins(test, test.name)
}

async function tellEnd(context: WorkerContext, end: Pick<TestEnd, 'last' | 'putBack'>): Promise<void> {
  const test = runningTest() ?? { errors: [] }
  await endTest({ test, failed: test.errors.length > 0, report: () => reportIfFailed(context), ...end })
}

async function reportIfFailed(context: WorkerContext): Promise<void> {
  const [database, test] = [currentDatabase(), runningTest()]
  if (!database || !test || test.errors.length === 0) return
  const blocks: string[] = []
  for (let block = test.parent; block.parent; block = block.parent) blocks.unshift(block.name)
  await reportFailure(context, database, { name: test.name, blocks, file: testFile() })
}

/** One database for all tests of a file; each test starts from what its `beforeAll` hooks have made. */
function registerHooks(context: WorkerContext): void {
  nameTestFile(testFile())
  const database = currentDatabase()
  if (context.reset === 'rollback') {
    const message = "reset: 'rollback' has no effect on tests in Jest, because they open their own connections"
    publish('warning.raised', { message })
  }
  const suites = database && new Suites<Block>(database, ({ name }) => name)
  const lookForLateWrites = async (): Promise<void> => {
    const test = await wroteLate()
    if (test !== undefined) suites?.wroteLate(test)
  }
  const beforeHooks = async (): Promise<void> => {
    await lookForLateWrites()
    hooksBegin()
  }
  if (suites) {
    watchBlocks({
      async enter(path) {
        await beforeHooks()
        if (path.length === 1) {
          fileBegins(testFile())
          assertOneAtATime(context, testsToRun().all.length > 1)
        }
        await suites.enter(path)
      },
      async leave(path, block) {
        await beforeHooks()
        await suites.leave(path, block)
      },
    })
  }
  const isFirst = beforeAnything(async () => {
    assertHeld(database)
    // Hooks that were registered before may have written.
    if (isFirst) await lookForLateWrites()
    const test = runningTest()
    if (test) await suites?.at(pathOf(test.parent))
    await tellBegin()
  })
  registerLast({
    afterEach: () =>
      tellEnd(context, { putBack: async (begun) => await suites?.leaveTest(runningTest()?.name ?? 'unknown', begun) }),
    afterAll: () => leaveFile(LEAVING),
  })
  // A file whose tests are all skipped runs no hook at all.
  afterEverything(() => leaveFile({ ...LEAVING, quietly: true }))
}

/** Jest runs the bodies of concurrent tests before any hook, and beside those of all others. */
function assertOneAtATime(context: WorkerContext, matters: boolean): void {
  const { all, concurrent } = testsToRun()
  const [first] = concurrent
  if (!first || !matters) return
  const running = new OneAtATime<{ readonly name: string }>(context, ({ name }) => name)
  running.enter(first)
  running.enter(all.find((test) => test !== first) ?? { name: 'the hooks of the file' })
}

function assertAcquired(): void {
  if (currentDatabase() !== undefined) return
  throw new TestDbError('TESTDB_RUN_MISSING', 'Jest 29 loads testdb/jest/setup too late to wait for a database', {
    fixes: [
      "Add `setupFiles: ['testdb/jest/acquire']` to the Jest configuration, or use `preset: 'testdb'`.",
      'If `projects` names several roots, run Jest in each of their folders, or update to Jest 30.',
      'Run `npx testdb doctor` to check the configuration of the runner.',
    ],
  })
}

/** Jest tells it before the file is loaded. */
function testFile(): string {
  return jestGlobals().expect.getState().testPath ?? ''
}
