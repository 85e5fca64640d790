/** What the starter tells the supervisor, and what it hears back. Plain data: it crosses a process border. */
import type { Cluster, Programs } from './cluster.ts'
import type { Layout } from './locations.ts'
import type { ServerState } from './state-file.ts'

export interface Job {
  readonly layout: Layout
  readonly cluster: Cluster
  readonly programs: Programs
  /** Milliseconds without a client session after which the server is stopped. */
  readonly idleMs: number
  readonly task:
    | {
        readonly kind: 'start'
        readonly port: number | undefined
        readonly socketDir: string | null
        readonly maxConnections: number
      }
    /** The server runs already and its supervisor is dead. */
    | { readonly kind: 'adopt'; readonly state: ServerState }
}

export type Reply =
  | { readonly kind: 'ready' }
  /** Another postmaster has the data folder: somebody else's start is under way. */
  | { readonly kind: 'busy' }
  | {
      readonly kind: 'failed'
      readonly message: string
      readonly log: readonly string[]
      /** True when it is the data with which no server comes up; false for everything that another try may not meet. */
      readonly data: boolean
    }

export function isJob(message: unknown): message is Job {
  return typeof message === 'object' && message !== null && 'layout' in message && 'task' in message
}

export function isReply(message: unknown): message is Reply {
  return typeof message === 'object' && message !== null && 'kind' in message
}
