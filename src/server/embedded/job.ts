/** What the starter of an embedded server tells its supervisor. Plain data: it crosses a process border. */
import type { AnyJob } from '../owned/job.ts'
import type { Cluster, Programs } from './cluster.ts'
import type { Layout } from './locations.ts'
import type { ServerState } from './state-file.ts'

export interface Job extends AnyJob {
  readonly kind: 'embedded'
  readonly files: Layout
  readonly cluster: Cluster
  readonly programs: Programs
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
