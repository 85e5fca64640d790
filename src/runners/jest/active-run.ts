/** The run that globalSetup started, for globalTeardown: Jest loads the two as separate modules. */
import type { Run } from '../../testdb.ts'

const RUN = Symbol.for('testdb.jest.run')
const store = globalThis as { [RUN]?: Run | undefined }

export const activeRun = {
  get: (): Run | undefined => store[RUN],
  set: (run: Run | undefined): void => {
    store[RUN] = run
  },
}
