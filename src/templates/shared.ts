/**
 * `isolation: 'shared'`: one database for everybody. No clones and no reset, but still one leader, followers that are woken
 * instead of retrying, and a stuck migration lock that is healed.
 *
 * Anybody may change a shared database, so no earlier result counts: each run leads once (a run with nothing to migrate is
 * a matter of milliseconds) unless it waited for somebody who just did.
 */
import {
  beginAttempt,
  leadOrFollow,
  noteSealed,
  noteStep,
  registerTemplate,
  useTemplate,
} from '../coordination/index.ts'
import { isTestDbError, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { healStaleLock } from '../migrators/heal.ts'
import type { Migrator } from '../migrators/migrator.ts'
import { describeActivity, type ServerAddress, type Session, sessionsOf } from '../postgres/index.ts'

/** How long a migration may wait for a table that somebody else has locked (ms), before it fails and names them. */
const LOCK_TIMEOUT_MS = 30_000

/** How long somebody else's migration may take (ms): past the critical threshold of lock waits, 60 s, with half as much again. */
const FOREIGN_MIGRATION_MS = 90_000

export interface SharedMigration {
  /** Connected to the shared database, which is the maintenance database too. */
  readonly session: Session
  /** Where the migrator connects: an address that every driver takes. */
  readonly address: ServerAddress
  readonly runId: number
  readonly project: string
  readonly migrator: Migrator
  readonly waitTimeoutMs: number
}

export async function migrateShared(shared: SharedMigration): Promise<void> {
  const { session, migrator, project } = shared
  const database = session.target.database
  // One row for the database, whatever the content: two branches must not migrate it at the same time.
  const { id } = await registerTemplate(session, { hash: 'shared', project, summary: migrator.summary, name: null })
  await useTemplate(session, shared.runId, id)
  await leadOrFollow({
    session,
    templateId: id,
    label: database,
    acceptEarlier: false,
    waitTimeoutMs: shared.waitTimeoutMs,
    lead: async () => {
      const startedAt = performance.now()
      await beginAttempt(session, id, null)
      const { applied } = await migrateWhenUnlocked(shared, id)
      await noteSealed(session, id, {
        name: null,
        applied: applied.length,
        buildMs: performance.now() - startedAt,
      })
      if (applied.length > 0) {
        publish('template.built', {
          template: database,
          migrations: applied.length,
          durationMs: performance.now() - startedAt,
        })
      }
    },
  })
}

/** Somebody outside testdb may take the lock between our look and the tool's: then look again, as long as waiting is allowed. */
async function migrateWhenUnlocked(
  shared: SharedMigration,
  id: number,
): Promise<{ readonly applied: readonly string[] }> {
  const { session, migrator } = shared
  const deadline = performance.now() + FOREIGN_MIGRATION_MS
  for (;;) {
    if (migrator.lockTable) {
      await healStaleLock(session, migrator.lockTable, {
        signal: session.lost,
        timeoutMs: deadline - performance.now(),
      })
    }
    try {
      return await migrate(shared, id)
    } catch (error) {
      const locked = isTestDbError(error) && error.code === 'TESTDB_MIGRATION_LOCKED'
      if (!locked || !migrator.lockTable || performance.now() > deadline) throw error
    }
  }
}

async function migrate(shared: SharedMigration, id: number): Promise<{ readonly applied: readonly string[] }> {
  const { session, migrator } = shared
  try {
    return await migrator.migrate({
      connection: { ...session.target, ...shared.address },
      signal: session.lost,
      onStep: (step) => void noteStep(session, id, step).catch(() => undefined),
      lockTimeoutMs: LOCK_TIMEOUT_MS,
      seeds: false,
    })
  } catch (error) {
    throw await namingBlockers(session, error)
  }
}

/** A migration that gave up waiting for a lock says who holds it. */
async function namingBlockers(session: Session, error: unknown): Promise<unknown> {
  if (!isTestDbError(error) || error.details.sqlstate !== '55P03') return error
  const others = (await sessionsOf(session, session.target.database)).filter((one) => one.state !== 'idle')
  const what = `${error.what}\nIt waited ${LOCK_TIMEOUT_MS} ms for a lock. Sessions at work: ${others.map(describeActivity).join('; ') || 'none now'}`
  return new TestDbError(error.code, what, { details: error.details, cause: error })
}
