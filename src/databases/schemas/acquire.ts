/**
 * Gives each worker a schema of its own, of those that its run has prepared.
 *
 *   a free one of this run ──► held by a worker that died? put back, or made anew ──► leased
 *   none is free           ──► one is being made anew, or a lock is about to be free: wait
 *                              still none ──► register a request; the run's own process migrates one more
 */
import { randomUUID } from 'node:crypto'
import { registerSchema, type SchemaRow, type SchemaUse, takeSchema, Waker } from '../../coordination/index.ts'
import { CHANNEL } from '../../coordination/schema.ts'
import { publish } from '../../events.ts'
import { COMMON_SCHEMA, endSchemaWork, Session } from '../../postgres/index.ts'
import { reached } from '../../steps.ts'
import type { RunContext } from '../context.ts'
import { Lease } from '../lease.ts'
import { schemaPlace } from './place.ts'
import { strategyIn } from './strategy.ts'
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
    // What its triggers, checks and views call is found through it.
    await session.query(`select set_config('search_path', $1, false)`, [`${row.name}, ${COMMON_SCHEMA}`])
    // What the last holder left running would write into our tests.
    await endSchemaWork(session, row.name)
    const lease = new Lease(context, session, { place: schemaPlace(context, row, slot) })
    reached('schema.taken')
    if (row.state === 'held') await recover(lease)
    publish('database.acquired', { database: row.name, created, durationMs: performance.now() - startedAt })
    return lease
  } catch (error) {
    await session.close()
    throw error
  }
}

/** Of a worker that has died. */
async function recover(lease: Lease): Promise<void> {
  if (!lease.strategy.leavesClean) return
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
    for (const patientUntil = performance.now() + GRACE_MS; ; ) {
      const row = await takeSchema(session, { runId, hash, ...use })
      if (row) return { row, created: false }
      const coming = await assertRunLives(session, context, 'another schema')
      if (coming === 0 && performance.now() > patientUntil) break
      await waker.wait(RECHECK_MS)
    }
  } finally {
    await waker.close()
  }
  publish('warning.raised', {
    message: `worker ${slot} finds all schemas of this run in use, and waits until one more is migrated`,
  })
  const row = await registerSchema(session, { project: context.project, hash, runId }, randomUUID())
  return { row: await waitForSchema(session, context, row, use), created: true }
}
