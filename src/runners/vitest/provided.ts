/** What globalSetup hands to the workers, by `provide` and `inject`. */
import type { RunContext } from '../../databases/context.ts'
import type { ErrorCode } from '../../errors.ts'

export type Provided =
  | { readonly context: RunContext; readonly workerStays: boolean }
  | { readonly failed: { readonly code: ErrorCode; readonly what: string; readonly fixes: readonly string[] } }

declare module 'vitest' {
  interface ProvidedContext {
    testdb: Provided
  }
}
