/**
 * Watches a running server and stops it when nobody needs it any more.
 *
 * How stopping and attaching can not miss each other:
 *   who attaches:   touch the state file (missing → slow path)  →  connect and check  →  return
 *   who stops:      take the start lock  →  rename the state file away  →  look at its time stamp and count sessions again
 *                   →  anything new: rename it back, go on;  else: stop
 * A touch before the rename is seen after it. A touch after the rename fails, and the slow path waits for the start lock,
 * under which it finds no server and starts one. After a touch the server stays for some seconds at least, however short the
 * idle time is (activity.ts): in it, who has attached opens the session that keeps the server alive.
 * If this process stands still meanwhile, somebody may take the lock over and attach: a state file that is there again, or a
 * lock that is not ours any more, calls the stop off.
 *
 * If this process dies between the rename and the stop, the server runs without a state file: the slow path finds it by
 * its `postmaster.pid` and adopts it.
 */
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../errors.ts'
import { Session, tryLock } from '../../postgres/index.ts'
import { reached } from '../../steps.ts'
import { Activity } from './activity.ts'
import { refusalOf, SERVER_LOCK, SUPERVISOR_CHANNEL, SUPERVISOR_NAME } from './probe.ts'
import { type StartLock, tryStartLock } from './start-lock.ts'
import { setAside } from './state-file.ts'
import type { Supervised } from './supervised.ts'
import { note } from './supervisor-log.ts'

/** A session that comes and goes between two looks is noticed by its touch of the state file. */
const MAX_TICK_MS = 1_000
const MIN_TICK_MS = 50
/** Somebody ended our session: this many tries to get another one, a tick apart, before the server counts as broken. */
const RECONNECTS = 30

type End = 'idle' | 'told to stop' | 'the server is gone' | 'the data folder is gone' | 'replaced' | 'out of reach'

export class Supervision {
  readonly #server: Supervised
  readonly #stopping: AbortSignal
  #session: Session
  #told = false
  /** Ends the pause between two looks: when told to stop, and when our session ends, which is how the server's death shows. */
  #pause = new AbortController()
  readonly #activity: Activity
  #failures = 0

  private constructor(server: Supervised, idleMs: number, stopping: AbortSignal, session: Session) {
    this.#server = server
    this.#stopping = stopping
    this.#session = session
    this.#activity = new Activity(idleMs)
    this.#listen(session)
    stopping.addEventListener('abort', () => this.#pause.abort())
  }

  /** Takes the supervisors' lock; undefined when another supervisor has it. */
  static async begin(server: Supervised, idleMs: number, stopping: AbortSignal): Promise<Supervision | undefined> {
    const session = await openSession(server)
    return session && new Supervision(server, idleMs, stopping, session)
  }

  /** Resolves when the server is stopped, gone, or somebody else's. */
  async untilEnd(): Promise<End> {
    for (;;) {
      await this.#server.beat()
      const end = await this.#look()
      if (end !== undefined) return await this.#finish(end)
      const tick = Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, this.#activity.idleMs / 4))
      this.#pause = new AbortController()
      await delay(tick, undefined, { signal: this.#pause.signal }).catch(() => undefined)
    }
  }

  async #look(): Promise<End | undefined> {
    const server = this.#server
    if (!(await server.isAlive(this.#session.lost.aborted))) return 'the server is gone'
    if (this.#told || this.#stopping.aborted) return 'told to stop'
    if (await server.isForgotten()) return 'the data folder is gone'
    if (this.#session.lost.aborted && !(await this.#reconnect())) {
      return this.#failures > RECONNECTS ? 'out of reach' : undefined
    }
    if (this.#session.lost.aborted) return 'replaced'
    try {
      const kept = existsSync(server.files.keep)
      if (!kept && !(await this.#isNeeded(server.files.state)) && (await this.#stopIfIdle())) return 'idle'
    } catch (error) {
      // A lost session is dealt with on the next look; anything else must not leave the server without a supervisor.
      note(messageOf(error))
    }
    return undefined
  }

  #isNeeded(stateFile: string): Promise<boolean> {
    return this.#activity.isNeeded(this.#session, stateFile)
  }

  /** See the header. True when the server has been stopped; while somebody else has the start lock, it is not idle. */
  async #stopIfIdle(): Promise<boolean> {
    const { files } = this.#server
    // The cache folder may have been deleted while the server, with its data in memory, lives on.
    const lock = existsSync(files.folder) ? await tryStartLock(files) : undefined
    if (lock === undefined && existsSync(files.folder)) return false
    reached('stop.locked')
    const { state } = files
    const aside = setAside(state)
    let stopped = false
    try {
      await rename(state, aside).catch(() => undefined)
      reached('stop.setAside')
      if (existsSync(files.keep) || (await this.#isNeeded(aside)) || existsSync(state)) return false
      stopped = await this.#stopServer(lock)
      return stopped
    } finally {
      if (stopped || existsSync(state)) await rm(aside, { force: true })
      else await rename(aside, state).catch(() => undefined)
      await lock?.release()
    }
  }

  async #finish(end: End): Promise<End> {
    if (end === 'the server is gone') await this.#cleanUp()
    else if (end !== 'idle' && end !== 'replaced') await this.#stopServer()
    await this.#session.close()
    return end
  }

  /** False when somebody else has taken the lock over: then they have the server, and it is left as it is. */
  async #stopServer(lock?: StartLock): Promise<boolean> {
    await this.#server.removeState()
    reached('stop.stateRemoved')
    if (lock !== undefined && !(await lock.held())) return false
    await this.#session.close()
    await this.#server.stop()
    reached('stop.stopped')
    await this.#cleanUp()
    return true
  }

  /** What belongs to a new server, and a state file that is not ours, is left alone. */
  async #cleanUp(): Promise<void> {
    await this.#server.removeState()
    await this.#server.cleanUp()
  }

  async #reconnect(): Promise<boolean> {
    try {
      const session = await openSession(this.#server)
      if (session === undefined) return true
      this.#session = session
      this.#listen(session)
      this.#failures = 0
      return true
    } catch (error) {
      // A server that is full, or recovers from a crash, is not broken.
      const refusal = refusalOf(error)
      if (refusal !== 'full' && refusal !== 'starting') this.#failures += 1
      note(messageOf(error))
      return false
    }
  }

  #listen(session: Session): void {
    session.onNotification(({ payload }) => {
      const idle = /^idle (\d+)$/.exec(payload)?.[1]
      if (idle !== undefined) this.#activity.extend(Number(idle))
      if (payload !== 'stop') return
      this.#told = true
      this.#pause.abort()
    })
    session.lost.addEventListener('abort', () => this.#pause.abort())
  }
}

async function openSession({ admin }: Supervised): Promise<Session | undefined> {
  const session = await Session.open(admin, { applicationName: `${SUPERVISOR_NAME} ${process.pid}` })
  await session.query(`listen ${SUPERVISOR_CHANNEL}`)
  if (await tryLock(session, 'server', SERVER_LOCK.supervisor)) return session
  await session.close()
  return undefined
}
