/** A worker waits for its run's own process, the only one that can migrate, to make a schema for it. */
import { readPool, readSchema, type SchemaRow, type SchemaUse, takeRequested, Waker } from '../../coordination/index.ts'
import { CHANNEL } from '../../coordination/schema.ts'
import { TestDbError } from '../../errors.ts'
import type { Session } from '../../postgres/index.ts'
import { reached } from '../../steps.ts'
import type { RunContext } from '../context.ts'

/** How long a run that died, or a lock that was given back, can go unnoticed (ms): neither sends a notification. */
export const RECHECK_MS = 250

export interface RunSchemas {
  readonly runId: number
  readonly hash: string
}

export function schemasOf({ runId, schemas }: RunContext): RunSchemas {
  if (!schemas) throw new Error('bug: the run has no schemas')
  return { runId, hash: schemas.hash }
}

/** Waits for the schema of `row`, which was requested, and takes it. Throws why it could not be made. */
export async function waitForSchema(
  session: Session,
  context: RunContext,
  row: Pick<SchemaRow, 'id' | 'name'>,
  use: SchemaUse,
): Promise<SchemaRow> {
  const waker = await Waker.listen(session, CHANNEL.schemas)
  reached('schema.requested')
  try {
    for (;;) {
      const now = await readSchema(session, row.id)
      if (now?.state === 'ready') {
        const taken = await takeRequested(session, now, use)
        if (taken) return taken
      }
      if (now?.state === 'failed' && now.error) {
        const { code, what, fixes, details } = now.error
        throw new TestDbError(code, what, { fixes, details })
      }
      if (!now) throw new TestDbError('TESTDB_LEASE_LOST', `the schema ${row.name} was dropped by somebody`)
      await assertRunLives(session, context, row.name)
      await waker.wait(RECHECK_MS)
    }
  } finally {
    await waker.close()
  }
}

export async function assertRunLives(session: Session, context: RunContext, what: string): Promise<number> {
  const { alive, coming } = await readPool(session, schemasOf(context))
  if (alive) return coming
  throw new TestDbError(
    'TESTDB_SERVER_LOST',
    `the process of this run has ended, or has lost its session, and only it can migrate ${what}`,
  )
}
