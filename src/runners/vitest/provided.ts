/** What globalSetup hands to the workers, by `provide` and `inject`. */
import type { ErrorCode } from '../../errors.ts'
import type { WorkerContext } from '../worker.ts'

export type Provided =
  | { readonly context: WorkerContext; readonly workerStays: boolean }
  | { readonly failed: { readonly code: ErrorCode; readonly what: string; readonly fixes: readonly string[] } }

declare module 'vitest' {
  interface ProvidedContext {
    testdb: Provided
  }
}
