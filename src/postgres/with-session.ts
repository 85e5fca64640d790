/** A session for one piece of work. */
import { Session } from './session.ts'
import type { SessionOptions } from './session-settings.ts'
import type { ConnectionTarget } from './target.ts'

/** Opens a session, hands it to `body` and closes it whatever happens. */
export async function withSession<T>(
  target: ConnectionTarget,
  options: SessionOptions,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(target, options)
  try {
    return await body(session)
  } finally {
    await session.close()
  }
}
