/**
 * Makes a schema that stands for a database: drop what is left of it → create → migrate → seed → look what was made outside → what the
 * reset needs → ready. All with the schema's lock, on the session of the run.
 *
 * What if the process dies here? The row came first. With a free lock it says making (or wanted), so whoever claims it next makes it
 * anew, and a sweep drops it. A process that has lost the session of its lock can not write "ready", because it writes it there.
 */
import { forgetSchema, noteSchema, readSchema, type SchemaRow } from '../coordination/index.ts'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Migrator, TableName } from '../migrators/migrator.ts'
import {
  type ConnectionTarget,
  companionOf,
  dependentsOf,
  ident,
  inSchema,
  removeSchema,
  type Session,
  tryLock,
  unlock,
  withSession,
} from '../postgres/index.ts'
import { reached } from '../steps.ts'
import type { TemplatePlan } from './build.ts'
import { orLost } from './or-lost.ts'
import { assertInside, escaped, lookOutside } from './strays.ts'

export interface SchemaPlan {
  /** Of the migrations and all that goes with them. */
  readonly hash: string
  readonly migrator: Migrator
  readonly seed: TemplatePlan['seed']
  /** The database as the role that migrates and tests: an address that every driver takes. */
  readonly target: ConnectionTarget
  /** Puts what a reset needs into the companion of the migrated schema. */
  readonly install: (session: Session, schema: string, bookkeeping: readonly TableName[]) => Promise<void>
}

/**
 * Makes the schema of that row; false when somebody has its lock, or when it is not wanted any more. A schema that could not be made is dropped again.
 * Throws `TESTDB_SCHEMA_ESCAPED` and what the migrator and the seed throw.
 */
export async function makeSchema(session: Session, row: SchemaRow, plan: SchemaPlan): Promise<boolean> {
  if (!(await tryLock(session, 'schema', row.id))) return false
  try {
    // Between our look and our lock it may have been made.
    if ((await readSchema(session, row.id))?.state !== 'wanted') return false
    await fill(session, row, plan)
    return true
  } catch (error) {
    if (!session.lost.aborted) await dropBoth(session, row.name).catch(() => undefined)
    throw error
  } finally {
    if (!session.lost.aborted) await unlock(session, 'schema', row.id)
  }
}

async function fill(session: Session, { id, name }: SchemaRow, plan: SchemaPlan): Promise<void> {
  const startedAt = performance.now()
  await noteSchema(session, id, { state: 'making' })
  reached('schema.registered')
  await dropOurs(session, name)
  await session.batch(`create schema ${ident(name)}; create schema ${ident(companionOf(name))}`)
  reached('schema.created')
  const before = await lookOutside(session, plan.hash)
  const target = inSchema(plan.target, name)
  const onStep = (): void => reached('schema.migrating')
  const migration = plan.migrator.migrate({ connection: target, schema: name, signal: session.lost, onStep })
  const { applied } = await orLost(session, migration).catch((error: unknown) => {
    throw escaped(name, error)
  })
  if (plan.seed) {
    publish('seed.started', { name: plan.seed.summary })
    await orLost(session, plan.seed.run(target))
  }
  reached('schema.migrated')
  await assertInside(session, { name, hash: plan.hash }, before)
  const bookkeeping = plan.migrator.bookkeeping.map(({ table }) => ({ schema: name, table }))
  const options = { applicationName: 'testdb install', neutral: true }
  await withSession(target, options, (own) => plan.install(own, name, bookkeeping))
  reached('schema.equipped')
  // One that waits for it finds its request in the row.
  await noteSchema(session, id, { state: 'ready' })
  publish('template.built', {
    template: name,
    migrations: applied.length,
    durationMs: performance.now() - startedAt,
  })
}

/** Drops a schema of ours with its row; the caller has its lock and has written "dropping". */
export async function dropSchema(session: Session, { id, name }: Pick<SchemaRow, 'id' | 'name'>): Promise<void> {
  await dropOurs(session, name)
  reached('schema.dropped')
  await forgetSchema(session, id)
}

/** Throws `TESTDB_SCHEMA_ESCAPED` instead of taking along what somebody else has. */
async function dropOurs(session: Session, name: string): Promise<void> {
  await removeSchema(session, companionOf(name))
  const others = await dependentsOf(session, name)
  if (others.length === 0) return await removeSchema(session, name)
  throw new TestDbError(
    'TESTDB_SCHEMA_ESCAPED',
    `the schema ${name} is not dropped, because that would take along: ${others.join(', ')}`,
    {
      details: { schema: name, objects: others },
      fixes: [
        'Drop these objects by hand, or let them refer to something else.',
        'Run `npx testdb prune` to try again.',
      ],
    },
  )
}

/** After a failure: what its migrations have made with it, an extension for example, is as old as the schema itself. */
async function dropBoth(session: Session, name: string): Promise<void> {
  await removeSchema(session, companionOf(name))
  const others = await dependentsOf(session, name)
  if (others.every((what) => what.startsWith('extension '))) await removeSchema(session, name)
}

/** For a warning: why a schema could not be made or dropped. */
export const reasonOf = (error: unknown): string => (error instanceof TestDbError ? error.what : messageOf(error))
