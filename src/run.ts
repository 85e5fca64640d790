/** What whoever starts a run gets: runners, the CLI, `createTestDb`. */
import type { ResolvedConfig } from './config/config.ts'
import type { Reservation } from './coordination/index.ts'
import type { RunContext } from './databases/context.ts'
import type { openServer } from './open-server.ts'
import type { ConnectionTarget, Session } from './postgres/index.ts'
import type { DatabasePart, Workers } from './run-budget.ts'

/** One invocation of a test runner. It lives as long as its session; `close()` only makes the end faster. */
export interface Run extends AsyncDisposable {
  /** What workers need; another object after a `refresh()` that found changed migrations. */
  readonly context: RunContext
  readonly config: ResolvedConfig
  /** Its part of the server's connections. */
  readonly reservation: Reservation
  /** Whether its registry is there. */
  isOn(place: ConnectionTarget): boolean
  /** Makes its part large enough for so many more databases at the same time, and says for how much of each. Throws `TESTDB_BUDGET_EXHAUSTED`. */
  reserveMore(databases: number): Promise<DatabasePart>
  /** Gives `work` the run's own session, for work in this very process; undefined where it is in use. */
  lend<T>(work: (session: Session | undefined) => Promise<T>): Promise<T>
  /** Looks at the migrations again and builds a template if they have changed; true when they had. For watch mode. */
  refresh(): Promise<boolean>
  close(): Promise<void>
}

export interface RunOptions extends Workers {
  /** For people: who runs. */
  readonly runner: string
  /** Runs that this process has already, whose workers are the same. */
  readonly beside?: readonly Run[]
  /** Opens the server, if not the one that the configuration names. */
  readonly open?: typeof openServer
}
