/** One line of `testdb doctor`, and how the errors of the rest of testdb become one. */
import { isTestDbError, messageOf } from '../../errors.ts'
import type { ConfigValue } from './configuration.ts'

/** `error`: something would fail. `warning`: worth a look. `skipped`: could not be looked at because of another problem. */
export type CheckStatus = 'ok' | 'warning' | 'error' | 'skipped'

export interface Check {
  /** Stable name, for programs. */
  readonly id: string
  readonly status: CheckStatus
  readonly message: string
  /** What to type or to change, most likely first. */
  readonly fixes: readonly string[]
}

const check =
  (status: CheckStatus) =>
  (id: string, message: string, ...fixes: string[]): Check => ({ id, status, message, fixes })

export const ok = check('ok')
export const skipped = check('skipped')
export const warning = check('warning')
export const wrong = check('error')

/** The stable shape of `testdb doctor --json`. */
export interface DoctorReport {
  /** False when something would fail. */
  readonly ok: boolean
  readonly checks: readonly Check[]
  readonly configuration: readonly ConfigValue[]
}

/** An error that a run would have met as well. Its advice to run the doctor is left out: that is where we are. */
export function fromError(id: string, error: unknown): Check {
  if (!isTestDbError(error)) return wrong(id, messageOf(error) || 'unknown reason')
  return wrong(id, `${error.code}: ${error.what}`, ...error.fixes.filter((fix) => !fix.includes('testdb doctor')))
}
