/**
 * The only lock outside of Postgres: before there is a server, there is no advisory lock. Held while starting and stopping.
 *
 * When its holder dies the lock goes stale within STALE_MS. Taking over a stale lock has a tiny race in which two believe
 * that they hold it; then Postgres' own lock on the data folder, and the supervisors' advisory lock, still leave one server.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { errnoOf } from './folders.ts'
import type { Layout } from './locations.ts'

const STALE_MS = 5_000
const UPDATE_MS = 1_000
/** Longer than a slow start (initdb and crash recovery) of the one before us. */
const WAIT_MS = 120_000
/** Silence for this long looks like a hang to whoever sits before it. */
const TELL_AFTER_MS = 2_000

export interface StartLock {
  /** True when somebody else has taken over, because this process was stopped for longer than the stale time. */
  readonly lost: boolean
  release(): Promise<void>
}

/** Takes the lock if it is free (or stale); never waits. */
export async function tryStartLock(layout: Layout): Promise<StartLock | undefined> {
  const { default: lockfile } = await import('proper-lockfile')
  let lost = false
  try {
    const release = await lockfile.lock(layout.folder, {
      lockfilePath: layout.lock,
      stale: STALE_MS,
      update: UPDATE_MS,
      // The default throws out of a timer, which would end the user's process.
      onCompromised: () => {
        lost = true
      },
    })
    return {
      get lost() {
        return lost
      },
      // Fails when the lock was lost, or the folder removed; either way there is nothing to release.
      release: () => release().catch(() => undefined),
    }
  } catch (error) {
    if (errnoOf(error) === 'ELOCKED') return undefined
    throw error
  }
}

/**
 * Waits for the lock. Between the tries `meanwhile` is asked: when the server has come up by somebody else's work, its
 * answer is given instead of the lock, so that those who wait do not queue for nothing.
 */
export async function waitForStartLock<T>(
  layout: Layout,
  meanwhile: () => Promise<T | undefined>,
): Promise<{ lock: StartLock } | { result: T }> {
  const started = Date.now()
  let told = false
  for (;;) {
    const lock = await tryStartLock(layout)
    if (lock !== undefined) return { lock }
    const result = await meanwhile()
    if (result !== undefined) return { result }
    const waited = Date.now() - started
    if (waited > WAIT_MS) {
      const what = `another process has been starting or stopping the server for ${Math.round(waited / 1000)} s (${layout.lock})`
      throw new TestDbError('TESTDB_SERVER_START_FAILED', what, { details: { lock: layout.lock, waitedMs: waited } })
    }
    if (!told && waited > TELL_AFTER_MS) {
      told = true
      publish('server.starting', { summary: 'waiting for another process that is starting or stopping the server' })
    }
    await delay(25 + Math.random() * 50)
  }
}
