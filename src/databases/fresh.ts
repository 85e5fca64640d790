/**
 * A database that nobody has used: one of the run's queue (spares.ts), or else a new clone. It is used once and then dropped.
 *
 * What if the process dies here? As in the allocator: before the transaction ends the row still says spare; after it the lease
 * lock tells whether its holder lives.
 */
import { noteUse, pickSpare, tryLease } from '../coordination/index.ts'
import { publish } from '../events.ts'
import { isSqlState, type Session } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { openMaintenance, takeNew } from './allocator.ts'
import type { RunContext } from './context.ts'
import { openLeaseSession } from './fresh-clone.ts'
import { Lease } from './lease.ts'
import { rememberSettings } from './reset/catalog.ts'
import { readLease, writeLease } from './reset/lease-sql.ts'

/** Leases a fresh database for one file or one test. Throws `TESTDB_SERVER_UNREACHABLE`. */
export async function acquireFresh(context: RunContext, slot: string): Promise<Lease> {
  const startedAt = performance.now()
  const maintenance = await openMaintenance(context)
  try {
    const spare = await takeSpare(maintenance, context, slot)
    const lease = spare ?? (await takeNew(maintenance, context, slot, { once: true }))
    publish('database.acquired', {
      database: lease.name,
      created: spare === undefined,
      durationMs: performance.now() - startedAt,
    })
    return lease
  } finally {
    await maintenance.close()
  }
}

async function takeSpare(maintenance: Session, context: RunContext, slot: string): Promise<Lease | undefined> {
  const { template, runId } = context
  if (!template) throw new Error('bug: a shared database has no clones')
  const tried: string[] = []
  for (;;) {
    const taken = await maintenance.transaction(async () => {
      const name = await pickSpare(maintenance, { templateId: template.id, runId, except: tried })
      if (name === undefined) return 'none'
      tried.push(name)
      const session = await openLeaseSession(context, name).catch((error: unknown) => {
        // Dropped behind our back.
        if (isSqlState(error, 'invalidCatalogName', 'objectNotInPrerequisiteState')) return undefined
        throw error
      })
      if (session === undefined) return undefined
      if (!(await tryLease(session))) {
        await session.close()
        return undefined
      }
      await noteUse(maintenance, name, { runId, slot, state: 'once' })
      return session
    })
    if (taken === 'none') return undefined
    if (taken === undefined) continue
    const crashed = (await readLease(taken)) === undefined
    await rememberSettings(taken)
    await writeLease(taken, { held: true, clean: false, runId })
    reached('lease.taken')
    const lease = new Lease(context, taken, { once: true })
    if (crashed) await lease.refill()
    return lease
  }
}
