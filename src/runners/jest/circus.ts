/**
 * Hooks around those of a test file. jest-circus has no API for running after them: that works on its state, which it keeps
 * on `globalThis` (29 and 30).
 */

interface Circus {
  readonly rootDescribeBlock: { readonly hooks: unknown[] }
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
  block.hooks.push = function insertBeforeOurs(...added: unknown[]): number {
    this.splice(this.length - ours.length, 0, ...added)
    return this.length
  }
}

/** Registers a hook that runs before those of the test file; call it before `registerLast`. */
export function beforeAnything(check: () => void): void {
  const globals = globalThis as unknown as { beforeEach(hook: () => void): void }
  globals.beforeEach(check)
}

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
