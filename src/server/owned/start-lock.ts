/**
 * The only lock outside of Postgres: before there is a server, there is no advisory lock. Held while starting and stopping.
 *
 * When its holder dies the lock goes stale within STALE_MS. A holder that only stood still for so long (a suspended machine,
 * SIGSTOP) loses it too, and must notice: `held()` is asked right before everything that can not be taken back. In what is
 * left of the race, Postgres' own lock on the data folder and the supervisors' advisory lock still leave one server.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import type { ServerFiles } from './files.ts'
import { errnoOf } from './folders.ts'

const STALE_MS = 5_000
const UPDATE_MS = 1_000
/** Longer than a slow start (initdb and crash recovery) of the one before us. */
const WAIT_MS = 120_000
/** The library finds out how exact time stamps are by one that lies up to a second ahead. */
const AHEAD_MS = 2_000
/** A queue in which nothing has happened for so long does not move: attaching takes tens of milliseconds, on a busy machine hundreds. */
const STUCK_MS = 1_000
/** Silence for this long looks like a hang to whoever sits before it. */
const TELL_AFTER_MS = 2_000

export interface StartLock {
  /** False when somebody else has taken over, because this process stood still for longer than the stale time. */
  held(): Promise<boolean>
  /** Throws `TurnLost` when it is not held any more. */
  assertHeld(): Promise<void>
  release(): Promise<void>
}

/** Somebody else has taken over: what was seen before does not hold any more, so everything has to be looked at again. */
export class TurnLost extends Error {}

/** Takes the lock if it is free (or stale); never waits. */
export async function tryStartLock(files: ServerFiles): Promise<StartLock | undefined> {
  // The library would say the same and needs ten times as long, in each of all who wait.
  const age = Date.now() - (stampOf(files.lock) ?? Number.NEGATIVE_INFINITY)
  if (age > -AHEAD_MS && age < STALE_MS) return undefined
  return (await lockOnce(files)) ?? ((await removeAbandoned(files.lock)) ? await lockOnce(files) : undefined)
}

async function lockOnce(files: ServerFiles): Promise<StartLock | undefined> {
  const { default: lockfile } = await import('proper-lockfile')
  let lost = false
  try {
    const release = await lockfile.lock(files.folder, {
      lockfilePath: files.lock,
      stale: STALE_MS,
      update: UPDATE_MS,
      // The default throws out of a timer, which would end the user's process.
      onCompromised: () => {
        lost = true
      },
    })
    // Who takes over replaces it at once; the folder's own time stamp says that only a second later.
    const me = `pid ${process.pid} on ${hostname()}, ${randomUUID()}`
    const noted = await noteHolder(files.lock, me)
    const held = async (): Promise<boolean> => !lost && (!noted || (await holderOf(files.lock)) === me)
    return {
      held,
      async assertHeld() {
        if (!(await held())) throw new TurnLost('the start lock was taken over')
      },
      async release() {
        if (await held()) {
          await rm(holderFile(files.lock), { force: true })
          // Fails when the folder has been removed meanwhile; then there is nothing to release.
          return await release().catch(() => undefined)
        }
        // Releasing, and ending this process, would remove the lock of who has it now, until the library has noticed.
        for (let waited = 0; !lost && waited < 3 * UPDATE_MS; waited += 50) await delay(50)
      },
    }
  } catch (error) {
    if (errnoOf(error) === 'ELOCKED') return undefined
    throw error
  }
}

/** Not asynchronous: that costs many times as much, in each of all who wait and look again and again. */
function stampOf(file: string): number | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false })?.mtimeMs
  } catch {
    return undefined
  }
}

/** Time stamps of locks that others hold, and since when they have not changed by a clock that nobody can set. */
const watched = new Map<string, { stamp: number; since: number }>()

/**
 * Removes a lock that its holder does not renew although its time stamp looks fresh: the clock was set back, so it lies in
 * the future and would not be stale for as long. True when it has been removed.
 */
async function removeAbandoned(lock: string): Promise<boolean> {
  const stamp = stampOf(lock)
  const seen = watched.get(lock)
  if (stamp === undefined) watched.delete(lock)
  else if (seen?.stamp !== stamp) watched.set(lock, { stamp, since: performance.now() })
  else if (performance.now() - seen.since > STALE_MS) {
    watched.delete(lock)
    return await rmdir(lock).then(
      () => true,
      () => false,
    )
  }
  return false
}

/**
 * Waits for the lock. When the server has come up by somebody else's work, those who have waited for it take turns, one lock after
 * the other: forty that went in together would take the processor from the one that goes on to migrate, for whom all of them then
 * wait again. A queue that does not move (its holder stands still, or is dead and not yet stale) is not waited for: `meanwhile` is
 * asked, and its answer given instead of the lock.
 */
export async function waitForStartLock<T>(
  files: ServerFiles,
  meanwhile: () => Promise<T | undefined>,
  waitMs = WAIT_MS,
): Promise<{ lock: StartLock } | { result: T }> {
  const started = performance.now()
  let told = false
  let before = ''
  let since = started
  for (;;) {
    const lock = await tryStartLock(files)
    if (lock !== undefined) return { lock }
    const isUp = existsSync(files.state)
    const queue = `${stampOf(holderFile(files.lock))} ${isUp}`
    if (queue !== before) since = performance.now()
    before = queue
    const waited = performance.now() - started
    const result = performance.now() - since > STUCK_MS || waited > waitMs ? await meanwhile() : undefined
    if (result !== undefined) return { result }
    if (waited > waitMs) {
      const who = (await holderOf(files.lock))?.split(',')[0] ?? 'another process'
      const what = `${who} has been starting or stopping the server for ${Math.round(waited / 1000)} s (${files.lock})`
      throw new TestDbError('TESTDB_SERVER_START_FAILED', what, { details: { lock: files.lock, waitedMs: waited } })
    }
    if (!told && waited > TELL_AFTER_MS) {
      told = true
      const doing = isUp ? 'connecting to the server' : 'starting or stopping the server'
      publish('server.starting', { summary: `waiting for another process that is ${doing}` })
    }
    // Short at first; later ones of many that wait must not take the processor away from the one that starts.
    await delay((25 + Math.min(waited / 8, 150)) * (0.5 + Math.random()))
  }
}

/** False when there is no room for it: a server on a full disk can be stopped, too. Whoever had the lock before lost it anyway. */
async function noteHolder(lock: string, text: string): Promise<boolean> {
  await rm(holderFile(lock), { force: true })
  return await writeFile(holderFile(lock), text, { mode: 0o600 }).then(
    () => true,
    () => false,
  )
}

const holderFile = (lock: string): string => `${lock}.holder`

async function holderOf(lock: string): Promise<string | undefined> {
  return await readFile(holderFile(lock), 'utf8').catch(() => undefined)
}
