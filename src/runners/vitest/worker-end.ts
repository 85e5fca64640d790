/**
 * A file whose tests are all skipped (`-t`, `.skip`, another file's `.only`) runs no hook at all, and Vitest has no public
 * way to learn that its worker ends. The worker's own state has one since Vitest 4. Without it the next file finds a
 * database that nobody gave back, and replaces it: slower, never wrong.
 */
interface WorkerState {
  readonly onCleanup?: (listener: () => Promise<void>) => void
}

/** Calls `action` before the worker ends; not when it is killed. */
export function beforeWorkerEnds(action: () => Promise<void>): void {
  const state = (globalThis as { __vitest_worker__?: WorkerState }).__vitest_worker__
  state?.onCleanup?.(action)
}
