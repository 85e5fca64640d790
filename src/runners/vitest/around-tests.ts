/**
 * When a test begins and ends for its database: before any of the file's own hooks, and after all that belongs to it.
 *
 *   prepare ─▶ [aroundEach] ─▶ beforeEach ─▶ the test ─▶ afterEach ─▶ clean-up of its fixtures ─▶ onTestFinished ─▶ [end of aroundEach] ─▶ finish
 *
 * Not `afterEach`: fixtures are cleaned up after that, and with `sequence.hooks: 'list'` the file's own hooks run after ours.
 * Fixtures with `auto: true` begin before all hooks.
 */
import { beforeAll, beforeEach, type RunnerTestCase, type TestContext } from 'vitest'
import { type Block, type Watcher, watchHooks } from './blocks.ts'

export type Test = Readonly<RunnerTestCase>

export interface AroundTests extends Pick<Watcher, 'enter' | 'leave'> {
  /** The hooks of the file itself are about to run. */
  begin(file: Block): Promise<void>
  /** `isFirst`: nothing of the test has run, no fixture either. Throws when the test may not run; then `finish` is not called. */
  prepare(test: Test, isFirst: boolean): Promise<void>
  finish(test: Test): Promise<void>
}

/** Call it in the setup file: its hooks are registered before those of the test file. */
export function aroundTests(on: AroundTests): void {
  /** Tests that have begun. More than one only with `concurrent`. */
  const begun = new Map<Test, { readonly prepared: Promise<void>; over: boolean }>()
  let surrounding = 0

  const end = async (test: Test): Promise<void> => {
    const state = begun.get(test)
    if (!state?.over || surrounding > 0) return
    begun.delete(test)
    await on.finish(test)
  }
  const prepare = (context: TestContext): Promise<void> => {
    const { task, onTestFinished } = context
    const known = begun.get(task)
    if (known) return known.prepared
    const state = {
      prepared: on.prepare(task, isUntouched(context)).then(
        () => {
          // The first to be registered is the last to be called.
          onTestFinished(async () => {
            state.over = true
            await end(task)
          })
        },
        (error: unknown) => {
          begun.delete(task)
          throw error
        },
      ),
      over: false,
    }
    begun.set(task, state)
    return state.prepared
  }

  // Not an arrow function: versions differ in where they pass the file.
  beforeAll(async function beginFile() {
    // biome-ignore lint/complexity/noArguments: a parameter would be parsed as a request for fixtures.
    const file = [...arguments].find(
      (one): one is Block => typeof one === 'object' && one !== null && 'filepath' in one,
    )
    if (!file) throw new Error('bug: this version of Vitest does not say which file it runs')
    watchHooks(file, {
      enter: (block) => on.enter(block),
      leave: (block) => on.leave(block),
      beforeTest: async (context) => await prepare(context as TestContext),
      async around(hook, context) {
        // Before a transaction is open in it that a checkpoint would wait for.
        await prepare(context as TestContext)
        surrounding += 1
        try {
          return await hook()
        } finally {
          surrounding -= 1
          for (const test of [...begun.keys()]) await end(test)
        }
      },
    })
    await on.begin(file)
  })
  beforeEach(async ({ task }) => await prepare(task.context))
}

/** What Vitest itself puts into the context of a test. */
const OWN = new Set([
  'task',
  'expect',
  '_local',
  'skip',
  'annotate',
  'onTestFailed',
  'onTestFinished',
  'signal',
  'recordArtifact',
  'bench',
  'benchmark',
  'log',
])

/** Whether no fixture has been set up; those with `auto: true` are before all hooks. */
const isUntouched = (context: object): boolean => Object.keys(context).every((key) => OWN.has(key))
