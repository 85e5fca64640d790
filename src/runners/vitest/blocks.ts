/** The describe blocks of a Vitest file, and a way to be told before their `beforeAll` hooks run. */
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
  aroundAll?: Hook[]
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
  const { beforeAll, aroundAll } = getHooks(block) ?? { beforeAll: [] }
  return beforeAll.length > 0 || (aroundAll?.length ?? 0) > 0
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

/** Calls `enter` before the hooks of each block in a file that was just collected, once per block. */
export function beforeHooksOf(file: Block, enter: (block: Block) => Promise<void>): void {
  for (const block of file.tasks ?? []) {
    if (block.type !== 'suite') continue
    let entered: Promise<void> | undefined
    const once = (): Promise<void> => (entered ??= enter(block))
    const hooks = getHooks(block)
    // Each of them, because hooks may run at the same time (`sequence.hooks: 'parallel'`); with what Vitest keeps on the function.
    for (const list of [hooks?.beforeAll, hooks?.aroundAll]) {
      list?.splice(0, list.length, ...list.map((hook) => wrap(hook, once)))
    }
    beforeHooksOf(block, enter)
  }
}

const wrap = (hook: Hook, first: () => Promise<void>): Hook =>
  Object.assign(async (...args: unknown[]) => {
    await first()
    return await hook(...args)
  }, hook)
