/**
 * Whether anybody needs the server: who is connected, was so within the idle time, or has just attached.
 *
 * Times are measured by a clock that nobody can set. The state file's time stamp comes from the wall clock, so only its
 * changes are believed: one from the future is as good as one of this moment, and does not keep the server until then.
 */
import { stat } from 'node:fs/promises'
import type { Session } from '../../postgres/index.ts'

/** From attaching to the first session a busy machine takes tens of milliseconds; this is two orders more. */
const ATTACH_GRACE_MS = 3_000

/** The name of a session that only looks: `testdb status --watch` does not keep a server up that nobody uses. */
export const WATCHER = 'testdb watch'

export class Activity {
  #idleMs: number
  #lastSession = performance.now()
  #stamp: number | undefined
  #touched = Number.NEGATIVE_INFINITY

  constructor(idleMs: number) {
    this.#idleMs = idleMs
  }

  get idleMs(): number {
    return this.#idleMs
  }

  /** The longest idle time of all who attach counts. */
  extend(idleMs: number): void {
    if (Number.isFinite(idleMs)) this.#idleMs = Math.max(this.#idleMs, idleMs)
  }

  async isNeeded(session: Session, stateFile: string): Promise<boolean> {
    const { rows } = await session.query<{ count: number }>(
      `select count(*)::int as count from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> $1`,
      [WATCHER],
    )
    const stats = await stat(stateFile).catch(() => undefined)
    const now = performance.now()
    const connected = (rows[0]?.count ?? 0) > 0
    if (connected) this.#lastSession = now
    if (stats !== undefined && stats.mtimeMs !== this.#stamp) {
      this.#stamp = stats.mtimeMs
      this.#touched = now - Math.max(0, Date.now() - stats.mtimeMs)
    }
    if (connected) return true
    return now - this.#lastSession < this.#idleMs || now - this.#touched < Math.max(this.#idleMs, ATTACH_GRACE_MS)
  }
}
