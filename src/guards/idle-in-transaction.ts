/** The guard `idleInTransaction`: a transaction that nobody has ended, and in which nothing happens any more. */
import type { Leftover } from '../postgres/index.ts'
import { counted, type Found, seconds, sessionName, shortStatement } from './found.ts'

/** `sessions`: those that sit in a transaction and that `who` has left. */
export function idleInTransaction(who: string, sessions: readonly Leftover[]): Found[] {
  if (sessions.length === 0) return []
  const lines = sessions.map(
    (one) => `\n  ${sessionName(one)}, for ${seconds(one.forMs)}, last query: ${shortStatement(one.query)}`,
  )
  return [
    {
      message: `${who} left ${counted(sessions.length, 'session')} idle in a transaction:${lines.join('')}`,
      advice: [
        'End the transaction on every path, also when something throws: `await` its commit or rollback before the test ends.',
      ],
      details: {
        sessions: sessions.map(({ pid, applicationName, query, forMs }) => ({
          ...{ pid, applicationName, forMs },
          query: shortStatement(query),
        })),
      },
    },
  ]
}

export const sitsInTransaction = ({ state }: Pick<Leftover, 'state'>): boolean =>
  state?.startsWith('idle in transaction') === true
