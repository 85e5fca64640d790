/** The describe blocks of a Vitest file, and a way to be told before their hooks run. */
import * as vitest from 'vitest'

/** A describe block or, outermost, the file. */
export interface Block {
  readonly name: string
  readonly type?: string
  readonly suite?: Block | undefined
  readonly file?: Block | undefined
  readonly filepath?: string
  readonly tasks?: readonly Block[]
}

type Hook = (...args: unknown[]) => unknown
interface Hooks {
  beforeAll: Hook[]
  afterAll: Hook[]
  beforeEach: Hook[]
  /** From 4.1 on. */
  aroundAll?: Hook[]
  aroundEach?: Hook[]
}
type GetHooks = (block: Block) => Hooks | undefined

/** From 4.1 on a static method of the runner; before that the function of an entry that Vitest 5 no longer has. */
async function findGetHooks(): Promise<GetHooks> {
  const runner = (vitest as unknown as { TestRunner?: { getSuiteHooks?: GetHooks } }).TestRunner
  if (runner?.getSuiteHooks) return runner.getSuiteHooks.bind(runner)
  // Not a literal: Vite would look for it in Vitest 5, too.
  const entry = ['vitest', 'suite'].join('/')
  const { getHooks } = (await import(/* @vite-ignore */ entry)) as { getHooks: GetHooks }
  return getHooks
}

const getHooks = await findGetHooks()

const hasHooks = (block: Block): boolean => {
  const hooks = getHooks(block)
  return (hooks?.beforeAll.length ?? 0) + (hooks?.aroundAll?.length ?? 0) > 0
}

/** The file and the blocks with hooks around a test or in a block, from the file inwards. */
export function pathOf(inner: Block): Block[] {
  const path: Block[] = []
  for (let block: Block | undefined = inner; block; block = block.suite) {
    if (block.filepath === undefined && block.type === 'suite' && hasHooks(block)) path.unshift(block)
  }
  const file = inner.filepath === undefined ? inner.file : inner
  return file ? [file, ...path] : path
}

export interface Watcher {
  /** The first of a block's hooks before its tests is about to run. Not called for the file. */
  enter(block: Block): Promise<void>
  /** The first of a block's, or the file's, hooks after its tests is about to run. */
  leave(block: Block): Promise<void>
  /** A hook around a test, with the test's context. */
  around(hook: () => Promise<unknown>, context: unknown): Promise<unknown>
  /** A hook of the file before a test. */
  beforeTest(...args: unknown[]): Promise<void>
}

/** Has itself told of the hooks in a file that was just collected, with what Vitest keeps on their functions. */
export function watchHooks(file: Block, watcher: Watcher): void {
  // Each of them, because hooks may run at the same time (`sequence.hooks: 'parallel'`).
  replace(getHooks(file)?.beforeEach, (hook) => async (...args) => {
    await watcher.beforeTest(...args)
    return await hook(...args)
  })
  watchBlock(file, watcher)
}

function watchBlock(block: Block, watcher: Watcher): void {
  const hooks = getHooks(block)
  const first = (action: (block: Block) => Promise<void>) => {
    let done: Promise<void> | undefined
    return (hook: Hook): Hook =>
      async (...args) => {
        done ??= action(block)
        await done
        return await hook(...args)
      }
  }
  if (block.type === 'suite' && block.filepath === undefined) {
    const enter = first((one) => watcher.enter(one))
    replace(hooks?.beforeAll, enter)
    replace(hooks?.aroundAll, enter)
  }
  replace(
    hooks?.afterAll,
    first((one) => watcher.leave(one)),
  )
  replace(
    hooks?.aroundEach,
    (hook) =>
      (...args) =>
        watcher.around(async () => await hook(...args), args[1]),
  )
  for (const child of block.tasks ?? []) if (child.type === 'suite') watchBlock(child, watcher)
}

function replace(hooks: Hook[] | undefined, by: (hook: Hook) => Hook): void {
  hooks?.splice(0, hooks.length, ...hooks.map((hook) => Object.assign(by(hook), hook)))
}
