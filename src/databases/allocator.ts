/**
 * Gives each worker a database of its own: a clean idle one if there is one, else a new clone.
 *
 *   the one it had before, if nothing has changed (same-again.ts)
 *   pick an idle row (locked, others skip it) → connect → try the lease lock → look at the lease row
 *      lock taken, or the database is gone → next row
 *      held by a worker that died          → drop it, next row
 *      not clean, and not this run's       → drop it, next row (of a living run: leave it alone)
 *      otherwise                           → take it; put it back if somebody has written since it was given back
 *   no row left → register a name → clone → connect → lock
 *
 * What if a process dies here? While looking: the transaction is rolled back and the lock is free. While cloning: the
 * row says "creating" with the run's id, and the sweep drops it when that run is gone. Right after: the lock is free and the row
 * says held, so the next taker drops it.
 */
import {
  forgetDatabase,
  liveRuns,
  noteState,
  noteUse,
  pickIdle,
  registerDatabase,
  tryLease,
  unlockClones,
} from '../coordination/index.ts'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { endSessions, isConnectionLoss, isSqlState, removeDatabase, Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { limitConnections } from './connection-limit.ts'
import type { RunContext } from './context.ts'
import { holdClone, makeClone, openLeaseSession } from './fresh-clone.ts'
import { Lease } from './lease.ts'
import { type LeaseRow, readLease } from './reset/lease-sql.ts'
import { noteDatabase, takeSameAgain } from './same-again.ts'
import { isUsable, takeSettled } from './take.ts'

/**
 * Leases a database of the run's template for the worker that its runner calls `slot`; the same worker gets the same database
 * again if it is free. Throws `TESTDB_SERVER_UNREACHABLE` when the server is gone.
 */
export async function acquireLease(context: RunContext, slot: string, lent?: Session): Promise<Lease> {
  const startedAt = performance.now()
  const again = await takeSameAgain(context, slot)
  const { lease, created } = again ? { lease: again, created: false } : await takeFromRegistry(context, slot, lent)
  publish('database.acquired', { database: lease.name, created, durationMs: performance.now() - startedAt })
  return lease
}

async function takeFromRegistry(
  context: RunContext,
  slot: string,
  lent: Session | undefined,
): Promise<{ lease: Lease; created: boolean }> {
  const maintenance = lent ?? (await openMaintenance(context))
  try {
    const idle = await takeIdle(maintenance, context, slot)
    // A session that is lost in this moment has nothing locked any more, and the lease is not lost with it.
    const unlock = (): unknown => lent && unlockClones(lent).catch(() => undefined)
    const lease = idle ?? (await takeNew(maintenance, context, slot).finally(unlock))
    noteDatabase(context, slot, lease.name)
    return { lease, created: idle === undefined }
  } finally {
    if (!lent) await maintenance.close()
  }
}

export async function openMaintenance(context: RunContext): Promise<Session> {
  try {
    return await Session.open(context.admin, { applicationName: 'testdb coordination', neutral: true })
  } catch (cause) {
    const { host, port } = context.admin
    throw new TestDbError(
      'TESTDB_SERVER_UNREACHABLE',
      `the server of this run, ${host} port ${port}, does not answer`,
      { cause },
    )
  }
}

async function takeIdle(maintenance: Session, context: RunContext, slot: string): Promise<Lease | undefined> {
  const tried: string[] = []
  for (;;) {
    const found = await maintenance.transaction(() => tryOne(maintenance, context, slot, tried))
    if (found === 'none') return undefined
    if (found.lease) {
      // Not in the transaction: a clone in its place would wait for the row that we have locked.
      if (found.touched) await found.lease.putBackLate()
      return found.lease
    }
    tried.push(found.name)
    if (found.discard) await discard(maintenance, found.name)
  }
}

interface Attempt {
  readonly name: string
  readonly lease?: Lease
  /** Somebody has written since it was given back. */
  readonly touched?: boolean
  readonly discard?: boolean
}

async function tryOne(
  maintenance: Session,
  context: RunContext,
  slot: string,
  except: readonly string[],
): Promise<Attempt | 'none'> {
  const templateId = context.template?.id ?? 0
  const name = await pickIdle(maintenance, { templateId, runId: context.runId, slot, except })
  if (name === undefined) return 'none'
  reached('lease.picked')
  let session: Session
  try {
    session = await openLeaseSession(context, name)
  } catch (error) {
    // Another worker that takes it at this moment ends what works on it, and a session that is being opened looks like work.
    if (isConnectionLoss(error)) return { name }
    // Dropped behind our back, or half dropped.
    if (!isSqlState(error, 'invalidCatalogName', 'objectNotInPrerequisiteState')) throw error
    await noteState(maintenance, name, 'dropping')
    return { name, discard: true }
  }
  try {
    if (!(await tryLease(session))) {
      await session.close()
      return { name }
    }
    reached('lease.locked')
    const row = await readLease(session).catch((error: unknown) => {
      // Without the session the lock is gone, and somebody else may have it now.
      if (isConnectionLoss(error)) throw error
      return undefined
    })
    if (row && !row.held && isUsable(row, context)) {
      await noteUse(maintenance, name, { runId: context.runId, slot, state: 'ready' })
      return { name, ...(await settleIn(session, context)) }
    }
    await session.close()
    if (row && !row.held && (await isWantedByOther(maintenance, row, context))) return { name }
    await noteState(maintenance, name, 'dropping')
    return { name, discard: true }
  } catch (error) {
    await session.close()
    // If it is the server that is gone, the next statement of the other session says so.
    if (isConnectionLoss(error) && !maintenance.lost.aborted) return { name }
    throw error
  }
}

/** Makes an idle database ours. */
async function settleIn(session: Session, context: RunContext): Promise<{ lease: Lease; touched: boolean }> {
  // What the last holder left running would write into our tests; its idle sessions may belong to a living process.
  await endSessions(session, session.target.database, 'busy')
  await limitConnections(session, context.connectionLimit)
  const touched = await takeSettled(session, context)
  reached('lease.taken')
  return { lease: new Lease(context, session), touched }
}

/** What another run's tests have written stays as long as that run lives. */
async function isWantedByOther(maintenance: Session, row: LeaseRow, context: RunContext): Promise<boolean> {
  if (row.runId === null || row.runId === context.runId) return false
  return (await liveRuns(maintenance)).some((run) => run.id === row.runId)
}

/** Clones the template for this worker. `once`: the database is dropped after its use. */
export async function takeNew(
  maintenance: Session,
  context: RunContext,
  slot: string,
  options: { readonly once: boolean } = { once: false },
): Promise<Lease> {
  const { template, runId, project } = context
  if (!template) throw new Error('bug: a shared database has no clones')
  const name = await registerDatabase(maintenance, { templateId: template.id, runId, slot, project })
  reached('clone.registered')
  try {
    await makeClone(maintenance, context, name)
  } catch (error) {
    if (!isSqlState(error, 'duplicateDatabase')) throw error
    // Somebody has made one of that name since we looked; it is not ours.
    await forgetDatabase(maintenance, name)
    return takeNew(maintenance, context, slot, options)
  }
  reached('clone.created')
  const { session, crashed } = await holdClone(maintenance, context, name, options.once ? 'once' : 'ready')
  const lease = new Lease(context, session, options)
  if (crashed) await lease.refill()
  return lease
}

/** Drops a database that nobody may use again. If that fails the sweep does it; this worker needs another one anyway. */
async function discard(maintenance: Session, name: string): Promise<void> {
  try {
    await removeDatabase(maintenance, name)
    await forgetDatabase(maintenance, name)
    publish('database.pruned', { database: name, reason: 'left dirty by a worker that ended without giving it back' })
  } catch (error) {
    if (maintenance.lost.aborted) throw error
    publish('warning.raised', { message: `${name} could not be dropped: ${messageOf(error)}` })
  }
}
