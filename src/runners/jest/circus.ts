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
  readonly hooks: { readonly type: string }[]
}

interface Test {
  readonly type: 'test'
  readonly name: string
  readonly concurrent?: boolean
  readonly mode?: string | null
}

interface Circus {
  readonly rootDescribeBlock: Block
  /** `errors` are those of the present try. */
  readonly currentlyRunningTest: { readonly name: string; readonly parent: Block; readonly errors: unknown[] } | null
}

type Hook = () => Promise<void>

interface Hooks {
  readonly afterEach: Hook
  readonly afterAll: Hook
}

/**
 * Registers hooks that run after those of the test file. Circus runs the after-hooks of a block in the order of
 * registration, so hooks of a setup file would reset the database under the file's own clean-up.
 */
export function registerLast(hooks: Hooks): void {
  const globals = globalThis as unknown as { afterEach(hook: Hook): void; afterAll(hook: Hook): void }
  globals.afterEach(hooks.afterEach)
  globals.afterAll(hooks.afterAll)
  const block = circusState()?.rootDescribeBlock
  if (!block) return
  const ours = block.hooks.slice(-2)
  block.hooks.push = function insertBeforeOurs(...added: Block['hooks']): number {
    this.splice(this.length - ours.length, 0, ...added)
    return this.length
  }
}

/** Registers a hook that runs before those of the test file; call it before `registerLast`. */
export function beforeAnything(check: () => void | Promise<void>): void {
  const globals = globalThis as unknown as { beforeEach(hook: () => void | Promise<void>): void }
  globals.beforeEach(check)
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

/** Calls `enter` before the `beforeAll` hooks of the file and of each block in it; call it before `registerLast`. */
export function beforeBlocks(enter: (path: readonly Block[]) => Promise<void>): void {
  const globals = globalThis as unknown as { beforeAll(hook: Hook): void }
  globals.beforeAll(async () => {
    // The file is collected only now.
    const root = circusState()?.rootDescribeBlock
    if (!root) return
    insertHooks(root, enter)
    await enter([root])
  })
}

function insertHooks(parent: Block, enter: (path: readonly Block[]) => Promise<void>): void {
  for (const block of parent.children) {
    if (block.type !== 'describeBlock') continue
    const fn = (): Promise<void> => enter(pathOf(block))
    const hook = {
      type: 'beforeAll',
      fn,
      parent: block,
      asyncError: new Error('testdb'),
      seenDone: false,
      timeout: undefined,
    }
    if (hasHooks(block)) block.hooks.unshift(hook)
    insertHooks(block, enter)
  }
}

/** The tests of the file that Jest runs at the same time as others. */
export function concurrentTests(block = circusState()?.rootDescribeBlock): Test[] {
  return (block?.children ?? []).flatMap((one) => {
    if (one.type === 'describeBlock') return concurrentTests(one)
    return one.concurrent === true && one.mode !== 'skip' && one.mode !== 'todo' ? [one] : []
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

function circusState(): Circus | undefined {
  const symbol = Object.getOwnPropertySymbols(globalThis).find((one) => one.description === 'JEST_STATE_SYMBOL')
  return symbol && (globalThis as unknown as Record<symbol, Circus>)[symbol]
}
