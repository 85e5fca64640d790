/**
 * Hooks around those of a test file. jest-circus has no API for running after them: that works on its state, which it keeps
 * on `globalThis` (29 and 30).
 */

/** A describe block; the outermost one, which has no parent, is the file. */
export interface Block {
  readonly type: 'describeBlock'
  readonly name: string
  readonly parent?: Block
  readonly children: readonly (Block | Test)[]
  readonly hooks: { readonly type: string; readonly fn?: unknown }[]
  readonly mode?: string | null
}

interface Test {
  readonly type: 'test'
  readonly name: string
  readonly concurrent?: boolean
  readonly mode?: string | null
}

interface Circus {
  readonly rootDescribeBlock: Block
  readonly testNamePattern?: RegExp | null
  readonly hasFocusedTests?: boolean
  /** `errors` are those of the present try. */
  readonly currentlyRunningTest: { readonly name: string; readonly parent: Block; readonly errors: unknown[] } | null
}

type Hook = () => Promise<void>

type Register = (hook: () => void | Promise<void>) => void

interface JestGlobals {
  readonly beforeAll: Register
  readonly beforeEach: Register
  readonly afterEach: Register
  readonly afterAll: Register
  readonly expect: { getState(): { testPath?: string } }
}

declare const require: (name: string) => unknown

/** With `injectGlobals: false` they are no globals; Jest gives them by this name to whatever it loads. */
export const jestGlobals = (): JestGlobals =>
  ('beforeEach' in globalThis ? globalThis : require('@jest/globals')) as JestGlobals

interface Hooks {
  readonly afterEach: Hook
  readonly afterAll: Hook
}

/**
 * Registers hooks that run after those of the test file. Circus runs the after-hooks of a block in the order of
 * registration, so hooks of a setup file would reset the database under the file's own clean-up.
 */
export function registerLast(hooks: Hooks): void {
  const { afterEach, afterAll } = jestGlobals()
  afterEach(hooks.afterEach)
  afterAll(hooks.afterAll)
  const block = circusState()?.rootDescribeBlock
  if (!block) return
  const ours = block.hooks.slice(-2)
  block.hooks.push = function insertBeforeOurs(...added: Block['hooks']): number {
    this.splice(this.length - ours.length, 0, ...added)
    return this.length
  }
}

/** Registers a hook that runs before those of the test file; call it before `registerLast`. True when there is none before it. */
export function beforeAnything(check: () => void | Promise<void>): boolean {
  // Jest has one itself.
  const isOther = ({ type, fn }: Block['hooks'][number]): boolean =>
    type === 'beforeEach' && !String(fn).includes('resetModules')
  const before = circusState()?.rootDescribeBlock.hooks.some(isOther) ?? false
  jestGlobals().beforeEach(check)
  return !before
}

const hasHooks = ({ hooks }: Block): boolean => hooks.some(({ type }) => type === 'beforeAll')

/** The file and the blocks with hooks around a block, itself included, from the file inwards. */
export function pathOf(inner: Block): Block[] {
  const path: Block[] = []
  for (let block: Block | undefined = inner; block; block = block.parent) {
    if (block.parent === undefined || hasHooks(block)) path.unshift(block)
  }
  return path
}

export interface Watcher {
  /** The first of the hooks before the tests of a block, or of the file, is about to run. */
  enter(path: readonly Block[]): Promise<void>
  /** The first of the hooks after the tests of a block, or of the file, is about to run. */
  leave(path: readonly Block[], block: Block): Promise<void>
}

/** Has itself told of the hooks of the file and of each block in it; call it before `registerLast`. */
export function watchBlocks(watcher: Watcher): void {
  jestGlobals().beforeAll(async () => {
    // The file is collected only now.
    const root = circusState()?.rootDescribeBlock
    if (!root) return
    insertHooks(root, watcher)
    await watcher.enter([root])
  })
}

function insertHooks(block: Block, watcher: Watcher): void {
  const insert = (type: 'beforeAll' | 'afterAll', fn: Hook): void => {
    const asyncError = new Error('testdb')
    const hook = { type, fn, parent: block, asyncError, seenDone: false, timeout: undefined }
    if (block.hooks.some((one) => one.type === type)) block.hooks.unshift(hook)
  }
  if (block.parent) insert('beforeAll', () => watcher.enter(pathOf(block)))
  insert('afterAll', () => watcher.leave(pathOf(block), block))
  for (const child of block.children) if (child.type === 'describeBlock') insertHooks(child, watcher)
}

/** The tests of the file that will run, with those that Jest runs at the same time as others. */
export function testsToRun(): { readonly all: Test[]; readonly concurrent: Test[] } {
  const state = circusState()
  const all = state ? testsOf(state.rootDescribeBlock, '', state) : []
  return { all, concurrent: all.filter(({ concurrent }) => concurrent === true) }
}

/** As circus decides it. */
function testsOf(block: Block, prefix: string, state: Circus): Test[] {
  const { testNamePattern, hasFocusedTests } = state
  return block.children.flatMap((one) => {
    const name = prefix === '' ? one.name : `${prefix} ${one.name}`
    if (one.type === 'describeBlock') {
      return one.mode === 'skip' ? [] : testsOf(one, name, state)
    }
    const skipped = one.mode === 'skip' || one.mode === 'todo' || (hasFocusedTests === true && one.mode !== 'only')
    return skipped || testNamePattern?.test(name) === false ? [] : [one]
  })
}

/** The test that runs, or whose hooks run. */
export const runningTest = (): Circus['currentlyRunningTest'] => circusState()?.currentlyRunningTest ?? null

/** Calls `action` when the file is through, whether or not any hook was run. Only Jest 30 tells. */
export function afterEverything(action: Hook): void {
  const handlers = (globalThis as Record<symbol, unknown>)[Symbol.for('EVENT_HANDLERS')]
  if (!Array.isArray(handlers)) return
  handlers.push(async (event: { readonly name: string }) => {
    if (event.name === 'run_finish') await action()
  })
}

export function circusState(): Circus | undefined {
  const symbol = Object.getOwnPropertySymbols(globalThis).find((one) => one.description === 'JEST_STATE_SYMBOL')
  return symbol && (globalThis as unknown as Record<symbol, Circus>)[symbol]
}
