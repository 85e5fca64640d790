/** Locks on a database of their own, and what a test may find left of them. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type AdvisoryLocks, createAdvisoryLocks } from '../../src/locks/index.ts'
import type { AdvisoryLocksOptions } from '../../src/locks/settings.ts'
import { formatUrl, type Session } from '../../src/postgres/index.ts'
import { eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

export class LockLab {
  readonly world: World
  readonly #opened: AdvisoryLocks[] = []
  readonly #warnings: Error[] = []
  readonly #onWarning = (warning: Error): void => void this.#warnings.push(warning)

  private constructor(world: World) {
    this.world = world
    process.on('warning', this.#onWarning)
  }

  static async open(): Promise<LockLab> {
    return new LockLab(await World.create())
  }

  get url(): string {
    return formatUrl(this.world.admin)
  }

  get session(): Session {
    return this.world.session
  }

  /** A service with a name of its own, as another process would have it. */
  locks(options: AdvisoryLocksOptions = {}): AdvisoryLocks {
    const locks = createAdvisoryLocks({ connectionString: this.url, applicationName: 'locks', ...options })
    this.#opened.push(locks)
    return locks
  }

  /** Backends of a service. */
  async backends(applicationName = 'locks'): Promise<number[]> {
    const { rows } = await this.session.query<{ pid: number }>(
      'select pid from pg_stat_activity where application_name = $1 and datname = current_database()',
      [applicationName],
    )
    return rows.map(({ pid }) => pid)
  }

  /** Ends the backends of a service that hold or wait for a lock. */
  async terminate(applicationName = 'locks'): Promise<number> {
    const { rowCount } = await this.session.query(
      `select pg_terminate_backend(pid) from pg_stat_activity a
        where application_name = $1 and datname = current_database()
          and exists (select from pg_locks l where l.pid = a.pid and locktype = 'advisory')`,
      [applicationName],
    )
    return rowCount ?? 0
  }

  /** Advisory locks that are held, and those that are waited for. */
  async count(granted: boolean): Promise<number> {
    const { rows } = await this.session.query<{ count: number }>(
      `select count(*)::int as count from pg_locks where locktype = 'advisory' and granted = $1
          and database = (select oid from pg_database where datname = current_database())`,
      [granted],
    )
    return rows[0]?.count ?? 0
  }

  held = (): Promise<number> => this.count(true)
  waits = async (count = 1): Promise<void> => {
    await eventually(`${count} sessions wait for a lock`, async () => (await this.count(false)) === count)
  }

  /** Closes all services; fails when a lock, a session or a warning of the process is left. */
  async close(): Promise<void> {
    for (const locks of this.#opened) await locks.close({ graceMs: 2_000 })
    await eventually('no lock is left', async () => (await this.held()) + (await this.count(false)) === 0)
    process.off('warning', this.#onWarning)
    await eventually('no session is left', async () => (await this.backends()).length === 0)
    await this.world.close()
    if (this.#warnings.length > 0) throw new Error(`warnings: ${this.#warnings.map(String).join('; ')}`)
  }
}

const nowhere = AsyncLocalStorage.snapshot()
/** Calls a function as somebody else in this process does: not inside of the section that is running. */
export const outside = <T>(fn: () => T): T => nowhere(fn)
