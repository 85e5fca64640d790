/** The connections of simulated tests: opened when they are needed, and kept from one case to the next. */
import type { Lease } from '../../../src/databases/lease.ts'
import { type Session, sessionsOf } from '../../../src/postgres/index.ts'
import { eventually } from '../../helpers/wait.ts'
import type { World } from '../../helpers/world.ts'
import { CONNECTIONS } from './workload.ts'

/** The one that compares: a superuser's, on which no test works. */
const WATCHER = CONNECTIONS

export class Connections {
  readonly #world: World
  readonly #lease: Lease
  readonly #open: (Session | undefined)[] = []
  /** Transactions that the last workload has left open. */
  readonly #left: { readonly on: number; readonly writes: boolean }[] = []

  constructor(world: World, lease: Lease) {
    this.#world = world
    this.#lease = lease
  }

  async of(on: number): Promise<Session> {
    const open = this.#open[on]
    if (open && !open.ended) return open
    const session = await this.#world.connect(this.#lease.name, on === 0 || on === WATCHER ? 'admin' : 'role')
    // Its own work may be in the way of another connection's; then the statement fails, as it may.
    await session.batch(`set lock_timeout = '40ms'; set client_min_messages = error; set jit = off`)
    this.#open[on] = session
    return session
  }

  async watcher(): Promise<Session> {
    return await this.of(WATCHER)
  }

  leave(on: number, writes: boolean): void {
    this.#left.push({ on, writes })
  }

  /** Ends what the last workload has left open. */
  async settle(): Promise<void> {
    for (const { on, writes } of this.#left.splice(0)) {
      // The reset has ended those that were in its way, and the client may not know that yet.
      if (writes) await this.#close(on)
      else await (await this.of(on)).query('rollback').catch(() => this.#close(on))
    }
  }

  async kill(on: number): Promise<void> {
    const session = await this.of(on)
    await (await this.watcher()).query('select pg_terminate_backend($1)', [session.backendPid])
    await eventually('the connection is lost', () => session.ended)
  }

  async closeAll(): Promise<void> {
    for (let on = 0; on <= WATCHER; on++) await this.#close(on)
    const { session, name } = this.#lease
    await eventually('nobody is connected', async () => (await sessionsOf(session, name)).length === 0)
  }

  async #close(on: number): Promise<void> {
    await this.#open[on]?.close()
    this.#open[on] = undefined
  }
}
