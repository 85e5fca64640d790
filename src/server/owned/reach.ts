/** Attaches to the one server of a folder or starts it, with any number of processes that do the same at the same time. */
import { TestDbError } from '../../errors.ts'
import { reached } from '../../steps.ts'
import type { ServerFiles } from './files.ts'
import { type StartLock, TurnLost, waitForStartLock } from './start-lock.ts'

export interface Reaching<Outcome> {
  readonly files: ServerFiles
  /** The fast path, which takes no lock. */
  attach(): Promise<Outcome | undefined>
  /** The slow path, under the start lock. Undefined: somebody else was faster, look again. */
  start(lock: StartLock): Promise<Outcome | undefined>
  /** How long the one before us may take to start (ms). */
  readonly waitMs?: number
}

/** Losing a race (a server that stops while we attach) leads to another look; losing it so often means something is broken. */
const ATTEMPTS = 10

/** Throws TESTDB_SERVER_START_FAILED, and what the two paths throw. */
export async function reach<Outcome>({ files, attach, start, waitMs }: Reaching<Outcome>): Promise<Outcome> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const attached = await attach()
    if (attached !== undefined) return attached
    const turn = await waitForStartLock(files, attach, waitMs)
    if ('result' in turn) return turn.result
    const { lock } = turn
    try {
      reached('boot.locked')
      const there = await attach()
      if (there !== undefined) return there
      const outcome = await start(lock)
      if (outcome !== undefined && (await lock.held())) return outcome
    } catch (error) {
      // What fails after somebody else has taken over fails because of that: a folder that was replaced, a server that was ended.
      if (!(error instanceof TurnLost) && (await lock.held())) throw error
    } finally {
      await lock.release()
    }
  }
  const what = `the server went away ${ATTEMPTS} times while it was being reached`
  throw new TestDbError('TESTDB_SERVER_START_FAILED', what, { details: { folder: files.folder, attempts: ATTEMPTS } })
}
