/** What is said once in a run, by whichever of its workers comes first: a file for each text in the run's folder. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where there is no folder it is once for this process. */
const SAID = Symbol.for('testdb.said')
const store = globalThis as { [SAID]?: Set<string> }

export function saidBefore(folder: string | undefined, text: string): boolean {
  store[SAID] ??= new Set()
  if (store[SAID].has(text)) return true
  store[SAID].add(text)
  if (folder === undefined) return false
  try {
    writeFileSync(join(folder, `said-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`), '', {
      flag: 'wx',
    })
    return false
  } catch (error) {
    // A folder that can not be written to is no reason to say nothing.
    return (error as NodeJS.ErrnoException).code === 'EEXIST'
  }
}
