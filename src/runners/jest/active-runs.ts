/** The runs that globalSetup started, for globalTeardown: Jest loads the two as separate modules. */
import type { AnyRun } from '../../pg-mem-run.ts'

interface ActiveRuns {
  readonly runs: readonly AnyRun[]
  /** Takes back what the workers were told. */
  readonly retract: () => void
  /** Ends the record of the runs. */
  readonly finish: () => void
}

const RUNS = Symbol.for('testdb.jest.runs')
const store = globalThis as { [RUNS]?: ActiveRuns | undefined }

export const activeRuns = {
  set: (active: ActiveRuns): void => {
    store[RUNS] = active
  },
  /** Ends them, if there are any. */
  close: async (): Promise<void> => {
    const active = store[RUNS]
    store[RUNS] = undefined
    active?.retract()
    for (const run of active?.runs ?? []) await run.close()
    active?.finish()
  },
}
