/** The run that globalSetup started, for globalTeardown: Jest loads the two as separate modules. */
import type { Run } from '../../testdb.ts'

interface ActiveRun {
  readonly run: Run
  /** Takes back what the workers were told. */
  readonly retract: () => void
}

const RUN = Symbol.for('testdb.jest.run')
const store = globalThis as { [RUN]?: ActiveRun | undefined }

export const activeRun = {
  set: (run: Run, retract: () => void): void => {
    store[RUN] = { run, retract }
  },
  /** Ends the run, if there is one. */
  close: async (): Promise<void> => {
    const active = store[RUN]
    store[RUN] = undefined
    active?.retract()
    await active?.run.close()
  },
}
