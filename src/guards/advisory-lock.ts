/** The guard `advisoryLock`: a lock of a session outlives its transaction, and the next test waits for it. */
import type { Leftover } from '../postgres/index.ts'
import { counted, type Found, sessionName, shortStatement } from './found.ts'

/** `sessions`: with the locks that `who` has left. */
export function advisoryLock(who: string, sessions: readonly Leftover[]): Found[] {
  const count = sessions.reduce((sum, { locks }) => sum + locks.length, 0)
  if (count === 0) return []
  const lines = sessions.flatMap((one) =>
    one.locks.map(
      ({ key, shared }) =>
        `\n  ${shared ? 'shared ' : ''}lock (${key}) of ${sessionName(one)}, last query: ${shortStatement(one.query)}`,
    ),
  )
  return [
    {
      message: `${who} left ${counted(count, 'advisory lock')} held:${lines.join('')}`,
      advice: [
        'Unlock on the same connection that has locked, in a `finally`; a pool gives each query any connection.',
        'Or use `pg_advisory_xact_lock()`, which ends with its transaction, or `createAdvisoryLocks()` of testdb/locks.',
      ],
      details: { locks: sessions.flatMap(({ pid, locks }) => locks.map((lock) => ({ pid, ...lock }))) },
    },
  ]
}

/** In a transaction it may be the transaction's lock. */
export const holdsLocks = ({ state, locks }: Pick<Leftover, 'state' | 'locks'>): boolean =>
  locks.length > 0 && (state === 'idle' || state === null)
