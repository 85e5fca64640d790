/**
 * A worker's next file takes the database of its last one again, over one connection instead of two: the run's folder
 * says which one it was, and the database itself says whether it is still free, clean and this run's. Whatever is not
 * as expected is left to the registry (allocator.ts), so a wrong note costs a moment and nothing else.
 *
 * What if the process dies here? The same as in the allocator: the lock ends with the session, and who finds a free lock
 * and a row that says held replaces the database.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endSessions, type Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import type { RunContext } from './context.ts'
import { openLeaseSession } from './fresh-clone.ts'
import { Lease } from './lease.ts'
import { tryLeaseAndRead } from './reset/lease-sql.ts'
import { isUsable, takeSettled } from './take.ts'

/** Notes which database the worker has. */
export function noteDatabase(context: RunContext, slot: string, name: string): void {
  if (context.folder === undefined) return
  try {
    writeFileSync(noteOf(context.folder, context.template, slot), name)
  } catch {
    // The folder went with the run; then there is no next file.
  }
}

/** Takes the database that this worker had before, if everything about it is as this run left it. */
export async function takeSameAgain(context: RunContext, slot: string): Promise<Lease | undefined> {
  const name = noted(context, slot)
  if (name === undefined) return undefined
  let session: Session
  try {
    session = await openLeaseSession(context, name)
  } catch {
    return undefined
  }
  try {
    const { locked, row, busy } = await tryLeaseAndRead(session)
    if (locked && row && !row.held && row.runId === context.runId && isUsable(row, context)) {
      reached('lease.locked')
      if (busy > 0) await endSessions(session, name, 'busy')
      const touched = await takeSettled(session, context)
      reached('lease.taken')
      const lease = new Lease(context, session)
      if (touched) await lease.putBackLate()
      return lease
    }
  } catch {
    // The registry's way gives the reason, if there still is one.
  }
  await session.close()
  return undefined
}

function noted({ folder, template }: RunContext, slot: string): string | undefined {
  if (folder === undefined) return undefined
  try {
    return readFileSync(noteOf(folder, template, slot), 'utf8') || undefined
  } catch {
    return undefined
  }
}

/** In watch mode the template of a run changes; what was noted for another one does not count. */
const noteOf = (folder: string, template: RunContext['template'], slot: string): string =>
  join(folder, `slot-${template?.id}-${encodeURIComponent(slot)}`)
