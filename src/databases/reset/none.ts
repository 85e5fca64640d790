/** `none`: what a test wrote stays until the run ends. */
import type { ResetStrategy } from './strategy.ts'

export const noReset: ResetStrategy = {
  name: 'none',
  sql: '',
  leavesClean: false,
  reset: async () => undefined,
}
