/** A clone of the run's template, made and held. */
import { noteReplacing, noteState, tryLease } from '../coordination/index.ts'
import { type ConnectionTarget, removeDatabase, Session, withSession } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { cloneTemplate } from '../templates/clone.ts'
import type { RunContext } from './context.ts'
import { rememberSettings } from './reset/catalog.ts'
import { readLease, writeLease } from './reset/lease-sql.ts'

/** Connects to a database as the admin, the way a lease holds it. */
export async function openLeaseSession(context: RunContext, database: string): Promise<Session> {
  const target: ConnectionTarget = { ...context.admin, database }
  return await Session.open(target, {
    applicationName: `testdb lease:${context.project}`,
    neutral: true,
    // Rows are put back as they were: no user trigger, rule or foreign key check may act on it. Only superusers may say so.
    begin: `select set_config('session_replication_role', 'replica', false) from pg_roles where rolname = current_user and rolsuper`,
  })
}

/** Clones the run's template under that name. */
export async function makeClone(maintenance: Session, context: RunContext, name: string): Promise<void> {
  if (!context.template) throw new Error('bug: a shared database has no clones')
  await cloneTemplate(maintenance, {
    template: context.template.name,
    name,
    owner: context.role.user,
    connectionLimit: context.connectionLimit,
  })
}

/**
 * Takes a clone that was just made. `crashed`: the server went through crash recovery since the template was built, so the
 * template's unlogged tables are empty, and those of the clone too.
 */
export async function holdClone(
  maintenance: Session,
  context: RunContext,
  name: string,
  state: 'ready' | 'once',
): Promise<{ readonly session: Session; readonly crashed: boolean }> {
  const session = await openLeaseSession(context, name)
  try {
    if (!(await tryLease(session))) throw new Error(`bug: somebody leased ${name} before it was ready`)
    const crashed = (await readLease(session)) === undefined
    await rememberSettings(session)
    await writeLease(session, { held: true, clean: false, runId: context.runId })
    reached('clone.leased')
    await noteState(maintenance, name, state)
    return { session, crashed }
  } catch (error) {
    await session.close()
    throw error
  }
}

/**
 * Puts a fresh clone of the same name in the place of a database that this process holds by `held`, which is closed.
 *
 * Meanwhile nobody can hold the lease lock, because it lies in the database; the row's state keeps others away. If the
 * process dies here, the row says "creating" and the sweep removes it once the run is gone.
 */
export async function replaceByClone(
  context: RunContext,
  held: Session,
  state: 'ready' | 'once',
): Promise<{ readonly session: Session; readonly crashed: boolean }> {
  const name = held.target.database
  return await withSession(
    context.admin,
    { applicationName: 'testdb coordination', neutral: true },
    async (maintenance) => {
      await noteReplacing(maintenance, name)
      reached('replace.noted')
      await held.close()
      await removeDatabase(maintenance, name)
      reached('replace.dropped')
      await makeClone(maintenance, context, name)
      reached('replace.cloned')
      return await holdClone(maintenance, context, name, state)
    },
  )
}
