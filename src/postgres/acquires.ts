/** How long the pools of this process let their users wait for a connection; counted, and told when a file ends. */
import { performance } from 'node:perf_hooks'
import { type AcquireCounts, publish } from '../events.ts'
import { ACQUIRE_WAIT_MS } from '../thresholds.ts'

const nothing = (): { -readonly [K in keyof AcquireCounts]: AcquireCounts[K] } => ({
  count: 0,
  failed: 0,
  totalMs: 0,
  maxMs: 0,
  slow: 0,
  critical: 0,
  peak: 0,
})

/** On `globalThis`: several copies of this file may meet one copy of the driver, whose method the first one has wrapped. */
const COUNTS = Symbol.for('testdb.acquires')
const store = globalThis as { [COUNTS]?: ReturnType<typeof nothing> }

type Callback = (...args: unknown[]) => unknown

/** Calls a pool's method that gives a connection, by promise or callback, and counts it. `connections`: those of the pool. */
export function timeAcquire(
  args: unknown[],
  acquire: (args: unknown[]) => unknown,
  connections: () => number,
): unknown {
  const begun = performance.now()
  const note = (failed: boolean): void => {
    store[COUNTS] ??= nothing()
    const counts = store[COUNTS]
    const waited = performance.now() - begun
    counts.count++
    counts.totalMs += waited
    counts.maxMs = Math.max(counts.maxMs, waited)
    if (failed) counts.failed++
    if (waited >= ACQUIRE_WAIT_MS.warning) counts.slow++
    if (waited >= ACQUIRE_WAIT_MS.critical) counts.critical++
    counts.peak = Math.max(counts.peak, connections())
  }
  const callback = args[0]
  if (typeof callback === 'function') {
    const counted: Callback = (...results) => {
      note(Boolean(results[0]))
      return (callback as Callback)(...results)
    }
    return acquire([counted, ...args.slice(1)])
  }
  const result = acquire(args)
  if (!(result instanceof Object && 'then' in result)) return result
  // Not beside it: a rejection that the user does not handle must stay one.
  return (result as Promise<unknown>).then(
    (connection) => {
      note(false)
      return connection
    },
    (error: unknown) => {
      note(true)
      throw error
    },
  )
}

/** Publishes `acquires.counted` and begins anew; nothing when there is nothing to tell. */
export function publishAcquires(): void {
  const counts = store[COUNTS]
  if (!counts) return
  delete store[COUNTS]
  publish('acquires.counted', counts)
}
