/** `clone`: a fresh clone of the same name after each test. Exact whatever the test did, DDL included, but it ends all other sessions. */
import type { ResetStrategy } from './strategy.ts'

export const cloneReset: ResetStrategy = {
  name: 'clone',
  sql: '',
  leavesClean: true,
  reset: (database) => database.replace(),
}
