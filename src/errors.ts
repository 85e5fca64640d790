/**
 * The one error class of testdb; the table of its codes is in `error-codes.ts`.
 *
 * A message has four parts: what happened (with names and numbers), what it means, numbered fixes, and the next command to
 * type. `what` comes from the place that throws; meaning and fixes come from the table unless that place knows better.
 */
import { ERRORS } from './error-codes.ts'

export { ERRORS }

/** A stable code to branch on; texts may change between versions, codes do not. */
export type ErrorCode = keyof typeof ERRORS

export interface TestDbErrorOptions {
  /** Plain data about what happened; never a password. */
  readonly details?: Readonly<Record<string, unknown>>
  /** Replaces the fixes of the table when the place that throws knows better ones. */
  readonly fixes?: readonly string[]
  readonly cause?: unknown
}

/**
 * The error that every entry of testdb throws.
 *
 * @example
 * try { await createTestDb() } catch (error) {
 *   if (isTestDbError(error) && error.code === 'TESTDB_MIGRATION_FAILED') console.error(error.details.migration)
 * }
 */
export class TestDbError extends Error {
  override readonly name = 'TestDbError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  /** What happened, without the meaning and the fixes; what a follower is told by its leader. */
  readonly what: string
  readonly fixes: readonly string[]

  constructor(code: ErrorCode, what: string, options: TestDbErrorOptions = {}) {
    const fixes = options.fixes ?? ERRORS[code].fixes
    const list = fixes.map((fix, i) => `  ${i + 1}. ${fix}`).join('\n')
    super(
      `${code}: ${what}\n${ERRORS[code].meaning}\n${list}`,
      options.cause === undefined ? {} : { cause: options.cause },
    )
    this.code = code
    this.what = what
    this.fixes = fixes
    this.details = options.details ?? {}
  }
}

/** Tells whether a value is an error of testdb, also when it comes from another copy of the package or another realm. */
export function isTestDbError(error: unknown): error is TestDbError {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'string' &&
    Object.hasOwn(ERRORS, error.code)
  )
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
