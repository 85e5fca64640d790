/**
 * A migration or a seed that calls `process.exit(0)` would end the runner before any test ran, with the exit code of success.
 */
import { subscribe } from './events.ts'

/** Runs `work`; if the process ends before it has, the exit code says so and stderr says which step it was. */
export async function failingOnExit<T>(work: () => Promise<T>): Promise<T> {
  let step = 'the template was being prepared'
  const offMigration = subscribe('migration.started', ({ name }) => {
    step = `migration ${name} was running`
  })
  const offSeed = subscribe('seed.started', ({ name }) => {
    step = `seed ${name} was running`
  })
  const onExit = (code: number): void => {
    process.stderr.write(`testdb: the process ended itself with code ${code} while ${step}; no test was run\n`)
    if (code === 0) process.exitCode = 1
  }
  // First of all listeners: Vitest 3 ends the process in its own, and those after it are never called.
  process.prependOnceListener('exit', onExit)
  try {
    return await work()
  } finally {
    process.off('exit', onExit)
    offMigration()
    offSeed()
  }
}
