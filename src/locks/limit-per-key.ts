/** A limit for each tenant, worker or endpoint, in this process. */
import { TestDbError } from '../errors.ts'
import { invalidOptions, show, wrongArgument } from '../pools/settings.ts'

export interface LimitPerKeyOptions {
  /** Calls of one key that may run at once. */
  readonly max: number
  /** Calls of one key that may wait; one more is rejected with TESTDB_LIMIT_REACHED. @default Infinity */
  readonly maxWaiting?: number
}

export interface LimitPerKey<K> {
  /** Runs `fn` when fewer than `max` calls of the key run; first come, first served. Gives what `fn` gives. */
  <T>(key: K, fn: () => Promise<T> | T): Promise<T>
  /** Calls of the key that run now. */
  active(key: K): number
  /** Calls of the key that wait now. */
  waiting(key: K): number
  /** Keys with calls that run or wait: all that takes memory. */
  readonly size: number
}

interface Line {
  active: number
  readonly waiting: (() => void)[]
}

/**
 * Makes a limiter that runs at most `max` calls per key at once and lets the others wait in the order in which they came.
 *
 * Use it where one tenant must not take all connections of a pool, or one slow endpoint all workers. It counts in this process
 * only; for a limit across processes use locks. Keys are compared as in a `Map`; an idle key takes no memory.
 *
 * @throws TESTDB_CONFIG_INVALID; a call is rejected with TESTDB_LIMIT_REACHED when `maxWaiting` calls wait already
 * @example
 * import { limitPerKey } from 'testdb/locks'
 *
 * const limit = limitPerKey<string>({ max: 5, maxWaiting: 100 })
 * const report = await limit(tenant.id, () => makeReport(tenant))
 */
export function limitPerKey<K>(options: LimitPerKeyOptions): LimitPerKey<K> {
  const { max, maxWaiting } = readOptions(options)
  const lines = new Map<K, Line>()

  const limit = async <T>(key: K, fn: () => Promise<T> | T): Promise<T> => {
    const line = lines.get(key) ?? { active: 0, waiting: [] }
    lines.set(key, line)
    if (line.active < max) line.active++
    else if (line.waiting.length < maxWaiting) await new Promise<void>((go) => line.waiting.push(go))
    else {
      const what = `${line.active} calls run and ${line.waiting.length} wait for one key`
      const details = { retryable: true, max, maxWaiting, active: line.active, waiting: line.waiting.length }
      throw new TestDbError('TESTDB_LIMIT_REACHED', what, { details })
    }
    try {
      return await fn()
    } finally {
      // The place goes to the next one without being free in between: nobody who comes now can pass.
      const next = line.waiting.shift()
      if (next) next()
      else if (--line.active === 0) lines.delete(key)
    }
  }
  return Object.defineProperties(limit as LimitPerKey<K>, {
    active: { value: (key: K) => lines.get(key)?.active ?? 0 },
    waiting: { value: (key: K) => lines.get(key)?.waiting.length ?? 0 },
    size: { get: () => lines.size },
  })
}

function readOptions(options: LimitPerKeyOptions): Required<LimitPerKeyOptions> {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw wrongArgument('limitPerKey', 'options', 'an object such as { max: 5 }', given)
  }
  const { max, maxWaiting = Number.POSITIVE_INFINITY, ...others } = options
  const problems = Object.keys(others).map((key) => `${key}: unknown option; accepted: max, maxWaiting`)
  if (!Number.isSafeInteger(max) || max < 1) problems.push(`max: expected an integer from 1, got ${show(max)}`)
  const bounded = Number.isSafeInteger(maxWaiting) && maxWaiting >= 0
  if (!bounded && maxWaiting !== Number.POSITIVE_INFINITY)
    problems.push(`maxWaiting: expected an integer from 0, or Infinity, got ${show(maxWaiting)}`)
  if (problems.length > 0) throw invalidOptions('limitPerKey', problems)
  return { max, maxWaiting }
}
