/**
 * Keeps trying until the trigger is there.
 *
 *   pending ── a try ──► installed
 *      │         └── no server, no table, no right: onError, a pause, the next try
 *      └── close() ──► closed
 *
 * If the process dies in a try, the server rolls its transaction back: there is all of the trigger, or nothing.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import { messageOf } from '../errors.ts'
import { type ConnectionTarget, withSession } from '../postgres/index.ts'
import { type NotifyTriggerOptions, readTriggerOptions, type TriggerPool, type TriggerSettings } from './options.ts'
import { install } from './trigger-sql.ts'

/** The first pause (ms); each further one is twice as long. */
const FIRST_PAUSE_MS = 100
/** How long `close()` waits for a try that is under way (ms). */
const CLOSE_MS = 2_000

export interface NotifyTrigger extends AsyncDisposable {
  readonly state: 'pending' | 'installed' | 'closed'
  /** Resolves with the state when it is installed, or was closed before. Never rejects. */
  readonly ready: Promise<'installed' | 'closed'>
  /** Ends the tries; a trigger that is installed stays. */
  close(): Promise<void>
}

/**
 * Makes a trigger that notifies a channel when rows of a table change, for workers that wait with LISTEN instead of polling.
 *
 * Returns at once. While the server can not be reached or the table is not there it tries again, and the process stays alive for
 * it until `close()`. Any number of processes may call it at the same time; where the trigger is as it should be nothing is
 * changed. Payloads are JSON: `{"op":"insert","key":{"id":7}}`, with `payload: 'row'` also `row`; what is longer than Postgres
 * takes (7,999 bytes) comes without it and with `"truncated":true`.
 *
 * @throws TESTDB_CONFIG_INVALID with every wrong option at once
 * @example
 * import { installNotifyTrigger } from 'testdb/notify'
 *
 * const trigger = installNotifyTrigger({ pool, table: 'jobs', channel: 'jobs_added', onError: (error) => log.warn(error) })
 * await trigger.ready
 */
export function installNotifyTrigger(options: NotifyTriggerOptions): NotifyTrigger {
  return new Installation(readTriggerOptions(options), options.onError ?? warn)
}

class Installation implements NotifyTrigger {
  state: 'pending' | 'installed' | 'closed' = 'pending'
  readonly ready: Promise<'installed' | 'closed'>
  readonly #settings: TriggerSettings
  readonly #onError: (error: unknown) => void
  #settle: (state: 'installed' | 'closed') => void = () => undefined
  #timer: NodeJS.Timeout | undefined
  #trying: Promise<void>
  #said: string | undefined

  constructor(settings: TriggerSettings, onError: (error: unknown) => void) {
    this.#settings = settings
    this.#onError = onError
    this.ready = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.#trying = this.#try(FIRST_PAUSE_MS)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.state === 'pending') this.#end('closed')
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref())
    await Promise.race([this.#trying, late])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #try(pause: number): Promise<void> {
    try {
      await attempt(this.#settings)
      if (this.state === 'pending') this.#end('installed')
    } catch (error) {
      if (this.state !== 'pending') return
      this.#say(error)
      const next = Math.min(2 * pause, this.#settings.retryMs)
      this.#timer = setTimeout(
        () => {
          this.#trying = this.#try(next)
        },
        Math.min(pause, this.#settings.retryMs),
      )
    }
  }

  #end(state: 'installed' | 'closed'): void {
    this.state = state
    this.#settle(state)
  }

  #say(error: unknown): void {
    const message = messageOf(error)
    if (message === this.#said) return
    this.#said = message
    try {
      this.#onError(error)
    } catch {
      // Its author's mistake is no reason to stop trying.
    }
  }
}

async function attempt(settings: TriggerSettings): Promise<void> {
  const { source, applicationName } = settings
  if ('connect' in source) return await attemptInPool(source, settings)
  const target: ConnectionTarget = source
  await withSession(target, { applicationName }, (session) =>
    install(async (sql) => (await session.query(sql)).rows, settings),
  )
}

async function attemptInPool(pool: TriggerPool, settings: TriggerSettings): Promise<void> {
  const client = await pool.connect()
  // The pool listens to unused ones only.
  const onError = (): void => undefined
  client.on('error', onError)
  let failed: boolean | undefined
  try {
    await install(async (sql) => ((await client.query(sql)) as { rows: Record<string, unknown>[] }).rows, settings)
  } catch (error) {
    // It may be in a transaction, or gone.
    failed = true
    throw error
  } finally {
    client.off('error', onError)
    client.release(failed)
  }
}

function warn(error: unknown): void {
  process.emitWarning(`installNotifyTrigger: ${messageOf(error)}; it tries again`, { type: 'TestDbWarning' })
}
