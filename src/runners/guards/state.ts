/** What the guards of a worker remember while it runs a file. */
import type { RunContext } from '../../databases/context.ts'
import type { WorkerDatabase } from '../../databases/database.ts'
import type { Greeting } from '../../postgres/index.ts'
import type { Place, Places } from './places.ts'
import type { KnownPools } from './pools.ts'
import type { KnownLeftovers, Locking } from './sessions.ts'

export interface Watched {
  readonly context: RunContext
  readonly database: WorkerDatabase | undefined
  readonly places: Places
  /** What was told already; it outlives the file where the worker does. */
  readonly known: { readonly leftovers: KnownLeftovers; readonly pools: KnownPools }
  /** Whether the hooks of the file have begun. */
  loading: boolean
  /** Hooks have run since the last look: what they have left is not the next test's. */
  hooksRan: boolean
  tests: number
  /** The database of the worker was used. */
  used: boolean
  /** Connections of the whole file to other databases. */
  readonly elsewhere: Greeting[]
  /** The test after whose reset nobody has run. */
  ended: Place | undefined
  /** Something may have been sent since the test had ended. */
  sentSince: boolean
  /** A statement may have taken an advisory lock. */
  readonly locking: Locking
  /** There are connections whose statements nobody hears. */
  otherDrivers: boolean
  stop(): void
}
