import type { Session } from '../postgres/index.ts'

/** Stops waiting as soon as the session is lost that gives the right to the work; the work itself is left to fail on its own. */
export async function orLost<T>(session: Session, work: Promise<T>): Promise<T> {
  let onLost: (() => void) | undefined
  const lost = new Promise<never>((_, reject) => {
    onLost = () => reject(session.lost.reason)
    session.lost.addEventListener('abort', onLost)
  })
  try {
    return await Promise.race([work, lost])
  } finally {
    if (onLost) session.lost.removeEventListener('abort', onLost)
  }
}
