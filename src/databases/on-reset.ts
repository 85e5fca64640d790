/** What an application wants to do when its database was put back under it: empty its caches. */

const LISTENERS = Symbol.for('testdb.onReset')

type Listener = () => void | Promise<void>

/** On `globalThis`, because the application and the runner's hooks may have loaded separate copies of this module. */
const listeners = (): Set<Listener> => {
  const store = globalThis as { [LISTENERS]?: Set<Listener> }
  store[LISTENERS] ??= new Set()
  return store[LISTENERS]
}

/**
 * Calls `listener` after each reset of this process's databases, before the next test begins; use it where an application keeps
 * rows in memory. Returns the function that ends it. A listener that throws fails the test that has just ended.
 *
 * @example
 * import { onReset } from 'testdb'
 * onReset(() => settingsCache.clear())
 */
export function onReset(listener: Listener): () => void {
  listeners().add(listener)
  return () => void listeners().delete(listener)
}

/** One after the other, in the order in which they were added; all of them, whoever throws. Throws the first error. */
export async function callOnReset(): Promise<void> {
  const errors: unknown[] = []
  for (const listener of listeners()) {
    try {
      await listener()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}
