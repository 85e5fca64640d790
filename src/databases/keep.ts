/**
 * Keeps the database of a failed test for people to look at.
 *
 * One that is used once simply stays. Of one that further tests use a copy is made, so that what `beforeAll` hooks have put into
 * it is there for them; for the copy every other session on it has to end.
 *
 * What if the process dies here? The copy's row says "creating" until it is there, so a sweep drops what is half-made.
 */
import { noteReplacing, noteState, registerDatabase } from '../coordination/index.ts'
import { createDatabase, endSessions, type Session, withSession } from '../postgres/index.ts'
import type { RunContext } from './context.ts'
import { holdClone } from './fresh-clone.ts'

/** Leaves the database to the people; its lease ends with its session. */
export async function keepOnce(context: RunContext, name: string): Promise<void> {
  await inMaintenance(context, (maintenance) => noteState(maintenance, name, 'kept'))
}

/** Copies the database that `held` leases; gives the copy's name and the session that holds the original again. */
export async function keepCopy(
  context: RunContext,
  held: Session,
  slot: string,
): Promise<{ readonly copy: string; readonly session: Session }> {
  const { template, runId, project, role } = context
  if (!template) throw new Error('bug: a shared database is not copied')
  const name = held.target.database
  return await inMaintenance(context, async (maintenance) => {
    const copy = await registerDatabase(maintenance, { templateId: template.id, runId, slot, project })
    await noteReplacing(maintenance, name)
    await held.close()
    await endSessions(maintenance, name)
    await createDatabase(maintenance, copy, { template: name, owner: role.user })
    await noteState(maintenance, copy, 'kept')
    const { session } = await holdClone(maintenance, context, name, 'ready')
    return { copy, session }
  })
}

const inMaintenance = <T>(context: RunContext, body: (maintenance: Session) => Promise<T>): Promise<T> =>
  withSession(context.admin, { applicationName: 'testdb coordination', neutral: true }, body)
