/**
 * Gives each worker a schema of its own, of those that its run has prepared.
 *
 *   a free one of this run ──► held by a worker that died? put back, or made anew ──► leased
 *   none is free           ──► one is being made anew, or a lock is about to be free: wait
 *                              still none ──► register a request; the run's own process migrates one more
 */
import { registerSchema, type SchemaRow, type SchemaUse, takeSchema, Waker } from '../../coordination/index.ts'
import { CHANNEL } from '../../coordination/schema.ts'
import { publish } from '../../events.ts'
import { endSchemaWork, isConnectionLoss, Session } from '../../postgres/index.ts'
import { reached } from '../../steps.ts'
import type { RunContext } from '../context.ts'
import { Lease } from '../lease.ts'
import { schemaPlace } from './place.ts'
import { enterSchema, strategyIn } from './strategy.ts'
import { assertRunLives, RECHECK_MS, schemasOf, waitForSchema } from './wait.ts'

/** A run prepares as many as it has workers; a worker that has just ended gives its own back within this time (ms). */
const GRACE_MS = 1_000

/** Throws `TESTDB_SERVER_LOST` when there is none and the run's own process is gone, and whatever its migrations throw. */
export async function acquireSchema(context: RunContext, slot: string): Promise<Lease> {
  const startedAt = performance.now()
  const session = await Session.open(context.admin, {
    applicationName: `testdb lease:${context.project}`,
    neutral: true,
  })
  try {
    const { row, created } = await take(session, context, slot)
    // What its triggers, checks and views call is found through its search path.
    const { crashed } = await enterSchema(session, row.name).catch(gone(session))
    // What the last holder left running would write into our tests.
    await endSchemaWork(session, row.name)
    const lease = new Lease(context, session, { place: schemaPlace(context, row, slot) })
    reached('schema.taken')
    if (row.state === 'held' || crashed) await recover(lease, crashed)
    publish('database.acquired', { database: row.name, created, durationMs: performance.now() - startedAt })
    return lease
  } catch (error) {
    await session.close()
    throw error
  }
}

/** What can not be entered was changed behind our back: it is put back, which fails, and made anew. */
const gone =
  (session: Session) =>
  (error: unknown): { readonly crashed: boolean } => {
    if (session.ended || isConnectionLoss(error)) throw error
    return { crashed: true }
  }

/** Of a worker that has died, or after crash recovery of the server, which empties unlogged tables. */
async function recover(lease: Lease, crashed: boolean): Promise<void> {
  if (!lease.strategy.leavesClean) return crashed ? await lease.replace() : undefined
  await lease.settle()
  await lease.resume()
}

async function take(
  session: Session,
  context: RunContext,
  slot: string,
): Promise<{ readonly row: SchemaRow; readonly created: boolean }> {
  const { runId, hash } = schemasOf(context)
  const use: SchemaUse = { slot, leavesClean: strategyIn('', context.reset).leavesClean }
  const found = await takeSchema(session, { runId, hash, ...use })
  if (found) return { row: found, created: false }
  const waker = await Waker.listen(session, CHANNEL.schemas)
  try {
    for (let patientUntil = performance.now() + GRACE_MS; ; ) {
      const row = await takeSchema(session, { runId, hash, ...use })
      if (row) return { row, created: false }
      const coming = await assertRunLives(session, context, 'another schema')
      // One that is made is locked by its maker for a moment longer.
      if (coming > 0) patientUntil = performance.now() + GRACE_MS
      else if (performance.now() > patientUntil) break
      await waker.wait(RECHECK_MS)
    }
  } finally {
    await waker.close()
  }
  publish('warning.raised', {
    message: `worker ${slot} finds all schemas of this run in use, and waits until one more is migrated`,
  })
  const row = await registerSchema(session, { project: context.project, hash, runId })
  return { row: await waitForSchema(session, context, row, use), created: true }
}
