/** Which strategies the admin role of a server has the rights for. */
import { publish } from '../../events.ts'
import type { Session } from '../../postgres/index.ts'
import type { ResetName } from './strategy.ts'

/**
 * `rows` needs event triggers and `session_replication_role`, which only superusers may have on every supported version; without
 * them it falls back to `truncate`, and says so.
 */
export async function usableReset(session: Session, wanted: ResetName): Promise<ResetName> {
  if (wanted !== 'rows') return wanted
  const { rows } = await session.query<{ rolsuper: boolean }>(
    'select rolsuper from pg_roles where rolname = current_user',
  )
  if (rows[0]?.rolsuper === true) return wanted
  const user = session.target.user
  publish('warning.raised', {
    message: `reset: 'rows' needs a superuser and "${user}" is none, so databases are put back by 'truncate'; set reset: 'truncate' to silence this`,
  })
  return 'truncate'
}
