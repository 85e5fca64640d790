/**
 * Drops schemas that nobody uses: those of another hash than the project's last one, and those that could not be made.
 *
 * What if the process dies here? The row says dropping, and the next sweep goes on.
 */
import { claimUseless, type SchemaRetention, uselessSchemas } from '../coordination/index.ts'
import { publish } from '../events.ts'
import { type Session, unlock, withSession } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { dropSchema, reasonOf } from './schema.ts'

/** On a session of its own: the run's may make schemas at the same time. Gives the names of those that were dropped. */
export async function sweepSchemas(session: Session, retention: SchemaRetention): Promise<string[]> {
  if ((await uselessSchemas(session, retention)).length === 0) return []
  const options = { applicationName: 'testdb coordination', neutral: true }
  return await withSession(session.target, options, (own) => dropUseless(own, retention))
}

async function dropUseless(session: Session, retention: SchemaRetention): Promise<string[]> {
  const dropped: string[] = []
  for (const row of await uselessSchemas(session, retention)) {
    if (!(await claimUseless(session, row.id, retention))) continue
    reached('schema.claimed')
    try {
      await dropSchema(session, row)
      dropped.push(row.name)
      publish('database.pruned', { database: row.name, reason: 'not used any more' })
    } catch (error) {
      if (session.lost.aborted) throw error
      publish('warning.raised', { message: `the schema ${row.name} could not be dropped: ${reasonOf(error)}` })
    } finally {
      if (!session.lost.aborted) await unlock(session, 'schema', row.id)
    }
  }
  return dropped
}
