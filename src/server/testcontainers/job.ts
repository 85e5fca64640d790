/** What the starter of a container tells its supervisor. Plain data: it crosses a process border. */
import type { AnyJob } from '../owned/job.ts'
import type { ContainerFiles } from './files.ts'

export interface ContainerJob extends AnyJob {
  readonly kind: 'container'
  readonly files: ContainerFiles
  /** The main file of the user's testcontainers. */
  readonly testcontainers: string
  readonly maxConnections: number
}
