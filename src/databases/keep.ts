/**
 * Keeps the database of a failed test for people to look at.
 *
 * One that a single test has simply stays. Of one that further tests use a copy is made, so that what `beforeAll` hooks have put into
 * it is there for them; for the copy every other session on it has to end, and none may come meanwhile.
 *
 * What if the process dies here? The copy's row says "creating" until it is there, and the original's until it is held again, so a
 * sweep drops what is half-made.
 */
import {
  forgetDatabase,
  isLeased,
  noteReplacing,
  noteState,
  registerDatabase,
  tryLease,
} from '../coordination/index.ts'
import {
  createDatabase,
  endSessions,
  ident,
  LOCK_SPACE,
  removeDatabase,
  type Session,
  withSession,
} from '../postgres/index.ts'
import { KEPT } from '../templates/sweep.ts'
import type { RunContext } from './context.ts'
import { openLeaseSession } from './fresh-clone.ts'

/** Leaves the database to the people; its lease ends with its session. */
export async function keepOnce(context: RunContext, name: string): Promise<void> {
  await inMaintenance(context, async (maintenance) => {
    await noteState(maintenance, name, 'kept')
    await dropOldest(maintenance, context)
  })
}

export interface KeptCopy {
  /** Holds the original again. */
  readonly session: Session
  /** The copy's name, or why there is none. */
  readonly copied: PromiseSettledResult<string>
}

/** Copies the database that `held` leases; `state` is what the original is used for. Throws when the original can not be held again. */
export async function keepCopy(context: RunContext, held: Session, state: 'ready' | 'once'): Promise<KeptCopy> {
  const name = held.target.database
  return await inMaintenance(context, async (maintenance) => {
    // First: where this is not allowed nothing has happened yet.
    await allowConnections(maintenance, name, false)
    await noteReplacing(maintenance, name)
    await held.close()
    const [copied] = await Promise.allSettled([copyDatabase(maintenance, context, name)])
    const session = await holdAgain(maintenance, context, name, state)
    if (copied.status === 'fulfilled') await dropOldest(maintenance, context)
    return { session, copied }
  })
}

async function copyDatabase(maintenance: Session, context: RunContext, name: string): Promise<string> {
  const { template, runId, project, role } = context
  if (!template) throw new Error('bug: a shared database is not copied')
  const copy = await registerDatabase(maintenance, { templateId: template.id, runId, slot: 'kept', project })
  try {
    // Until none is left: one that was let in just before the door was closed shows later.
    while ((await endSessions(maintenance, name)) > 0);
    await createDatabase(maintenance, copy, { template: name, owner: role.user })
  } catch (error) {
    // The server leaves nothing of a copy that failed.
    await forgetDatabase(maintenance, copy)
    throw error
  }
  await noteState(maintenance, copy, 'kept')
  return copy
}

/** The state of tests goes on: unlike a fresh clone it is not what later changes are compared with. */
async function holdAgain(
  maintenance: Session,
  context: RunContext,
  name: string,
  state: 'ready' | 'once',
): Promise<Session> {
  await allowConnections(maintenance, name, true)
  const session = await openLeaseSession(context, name)
  try {
    if (!(await tryLease(session))) throw new Error(`bug: somebody leased ${name} while it was copied`)
    await noteState(maintenance, name, state)
    return session
  } catch (error) {
    await session.close()
    throw error
  }
}

/** A client that reconnects at once would keep the original in use for ever. Its limit of connections must stay: it is compared. */
async function allowConnections(maintenance: Session, name: string, allowed: boolean): Promise<void> {
  await maintenance.query(`alter database ${ident(name)} with allow_connections ${allowed}`)
}

/**
 * So that a project with many failing tests does not fill the disk. The state and the lock keep the sweep and the queue of spares from
 * dropping the same ones; what can not be dropped now is left to the sweep.
 */
async function dropOldest(maintenance: Session, { project }: RunContext): Promise<void> {
  const { rows } = await maintenance.query<{ name: string }>(
    `update testdb.databases d set state = 'creating' where d.state = 'kept' and not ${isLeased('d.name')} and d.id in (
       select id from (select k.id, row_number() over (order by k.last_used desc, k.id desc) as place
                         from testdb.databases k join testdb.templates t on t.id = k.template_id
                        where k.state = 'kept' and t.project = $1) ranked where place > $2)
     returning name, pg_advisory_lock(${LOCK_SPACE.clone}, id)`,
    [project, KEPT.perProject],
  )
  for (const { name } of rows) {
    await removeDatabase(maintenance, name)
      .then(() => forgetDatabase(maintenance, name))
      .catch(() => undefined)
  }
}

const inMaintenance = <T>(context: RunContext, body: (maintenance: Session) => Promise<T>): Promise<T> =>
  withSession(context.admin, { applicationName: 'testdb coordination', neutral: true }, body)
