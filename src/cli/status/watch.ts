/**
 * `testdb status --watch`: the registry's triggers wake it, over one session for each server; what sends no notification, such as
 * connections, is looked at again every few seconds.
 *
 *   find the servers ─► look through the session ─► show what is new ─► wait for a notification, the re-check, or the end
 *         ▲                      └── session lost: say so, look for the server again ──┘
 *
 * Starts no server, and its session does not count as a use of one.
 */
import { clearTimeout, setTimeout } from 'node:timers'
import type { ResolvedConfig } from '../../config/config.ts'
import { CHANNEL } from '../../coordination/index.ts'
import { messageOf } from '../../errors.ts'
import { type ConnectionTarget, describeTarget, ident, Session } from '../../postgres/index.ts'
import { WATCHER } from '../../server/owned/activity.ts'
import type { Terminal } from '../terminal.ts'
import { type FoundServer, findServers, lookAt, type Sessions } from './collect.ts'
import type { StatusReport } from './report.ts'
import { screenFor } from './screen.ts'

/** Connections and statements send no notification (ms). */
const RECHECK_MS = 3_000
/** While there is no server (ms): a look costs a few files, or a connection that is refused. */
const RETRY_MS = 1_000
/** Changes that come together are shown together (ms). */
const TOGETHER_MS = 50

export async function watchStatus(config: ResolvedConfig, json: boolean, terminal: Terminal): Promise<number> {
  const screen = screenFor(terminal, json)
  const end = new AbortController()
  const stop = (): void => end.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop)
  const watched = new WatchedServers(config)
  try {
    // What is wrong from the start is no reason to wait.
    screen.show(await watched.look())
    while (!end.signal.aborted) {
      await watched.changed(end.signal)
      if (end.signal.aborted) break
      const report = await watched.look().catch((error: unknown) => messageOf(error))
      if (typeof report === 'string') screen.lost(report)
      else screen.show(report)
    }
    return 0
  } finally {
    await watched.close()
    screen.end()
  }
}

class WatchedServers implements Sessions {
  readonly #config: ResolvedConfig
  readonly #sessions = new Map<string, Session>()
  #found: readonly FoundServer[] | undefined
  #woken = false
  #wake: () => void = () => undefined

  constructor(config: ResolvedConfig) {
    this.#config = config
  }

  async look(): Promise<StatusReport> {
    // Known ones are not looked for again: that would be another session each time.
    if (!this.#found?.every(({ admin }) => admin && this.#sessions.get(describeTarget(admin))?.ended === false))
      this.#found = await findServers(this.#config)
    try {
      return await lookAt(this.#config, this.#found, this)
    } catch (error) {
      this.#found = undefined
      throw error
    }
  }

  async take(admin: ConnectionTarget): Promise<Session> {
    const key = describeTarget(admin)
    const known = this.#sessions.get(key)
    if (known?.ended === false) return known
    const session = await Session.open(admin, { applicationName: WATCHER, neutral: true })
    session.onNotification(() => this.#changed())
    session.lost.addEventListener('abort', () => this.#changed())
    this.#sessions.set(key, session)
    await session.batch(
      Object.values(CHANNEL)
        .map((channel) => `listen ${ident(channel)}`)
        .join('; '),
    )
    return session
  }

  async giveBack(): Promise<void> {
    // It goes on listening.
  }

  /** Resolves at a change, or when it is time to look again. */
  async changed(end: AbortSignal): Promise<void> {
    const pause = this.#found?.every(({ admin }) => admin) ? RECHECK_MS : RETRY_MS
    if (!this.#woken) await this.#wait(pause, end)
    if (this.#woken && !end.aborted) await this.#wait(TOGETHER_MS, end, false)
    this.#woken = false
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await session.close()
  }

  #wait(ms: number, end: AbortSignal, wakes = true): Promise<void> {
    return new Promise((resolve) => {
      const now = (): void => {
        clearTimeout(timer)
        end.removeEventListener('abort', now)
        resolve()
      }
      const timer = setTimeout(now, ms)
      end.addEventListener('abort', now)
      if (wakes) this.#wake = now
    })
  }

  #changed(): void {
    this.#woken = true
    this.#wake()
  }
}
