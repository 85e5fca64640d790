/** The guard `checkedOutClient`: a pool gets smaller with each client that is not given back, until somebody waits for ever. */
import { counted, type Found, shortStatement } from './found.ts'

export interface TakenClient {
  /** The test, or the code outside of tests, that has taken it; undefined where that is not known. */
  readonly takenBy: string | undefined
  readonly statement: string | undefined
  /** Where its pool was made. */
  readonly place: string | undefined
}

export function checkedOutClient(who: string, clients: readonly TakenClient[]): Found[] {
  if (clients.length === 0) return []
  const lines = clients.map(({ takenBy, statement, place }) => {
    const made = place === undefined ? '' : ` from the pool of ${place}`
    return `\n  taken by ${takenBy ?? 'code that ran before'}${made}, last query: ${shortStatement(statement)}`
  })
  return [
    {
      message: `at the end of ${who} ${counted(clients.length, 'client')} of a pool had not been given back:${lines.join('')}`,
      advice: [
        'Call `client.release()` in a `finally`, also when a query throws; with Knex end every transaction.',
        'Or use `pool.query()` where one statement is all.',
      ],
      details: { clients: clients.map((one) => ({ ...one, statement: shortStatement(one.statement) })) },
    },
  ]
}
