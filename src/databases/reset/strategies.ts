/** The list of the ways to put a database back. */
import { cloneReset } from './clone.ts'
import { noReset } from './none.ts'
import { rollbackReset } from './rollback.ts'
import { rowsReset } from './rows/rows.ts'
import type { ResetName, ResetStrategy } from './strategy.ts'
import { truncateReset } from './truncate.ts'

const STRATEGIES: Readonly<Record<ResetName, ResetStrategy>> = {
  rows: rowsReset,
  truncate: truncateReset,
  rollback: rollbackReset,
  clone: cloneReset,
  none: noReset,
}

export const strategyOf = (name: ResetName): ResetStrategy => STRATEGIES[name]
