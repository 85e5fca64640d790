/** What a starter tells the supervisor, and what it hears back. Plain data: it crosses a process border. */
import type { ErrorCode } from '../../errors.ts'
import type { ServerFiles } from './files.ts'

export interface AnyJob {
  /** Which kind of server. */
  readonly kind: string
  readonly files: ServerFiles
  /** Milliseconds without a client session after which the server is stopped. */
  readonly idleMs: number
}

export interface Failed {
  readonly kind: 'failed'
  readonly message: string
  readonly log: readonly string[]
  /** True when it is the data with which no server comes up; false for everything that another try may not meet. */
  readonly data: boolean
  /** Set when another try would meet the same, and this is what to tell the user. */
  readonly error?: { readonly code: ErrorCode; readonly fixes: readonly string[] }
}

export type Reply =
  | { readonly kind: 'ready'; readonly started?: boolean; readonly warning?: string | undefined }
  /** Another postmaster has the data folder: somebody else's start is under way. */
  | { readonly kind: 'busy' }
  | Failed

export function isReply(message: unknown): message is Reply {
  return typeof message === 'object' && message !== null && 'kind' in message
}
