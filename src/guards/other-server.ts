/** The guard `otherServer`: the code of a test was somewhere else than in the database that it was given. */
import type { Greeting } from '../postgres/index.ts'
import type { Found } from './found.ts'

export interface ChangedVariable {
  readonly name: string
  /** Both without passwords. */
  readonly from: string
  readonly to: string | undefined
}

export interface Elsewhere {
  readonly greetings: readonly Greeting[]
  /** The worker's own. */
  readonly database: string
  readonly changed: readonly ChangedVariable[]
}

/** One for each destination. */
export function otherServer(who: string, { greetings, database, changed }: Elsewhere): Found[] {
  const places = new Map(greetings.map((one) => [destinationOf(one), one]))
  return [...places].map(([place, { ours, user, host, port }]) => ({
    message: [
      `${who} connected to ${place}${user === undefined ? '' : ` as ${user}`}, ${ours ? 'another database on the server of this run' : 'another server than that of this run'}; its own database is ${database}`,
      ...changed.map(describeChange),
    ].join('\n  '),
    advice: ADVICE,
    details: { place, host, port, ours, changed },
  }))
}

export const ADVICE = [
  'Find what sets the address: a `.env` file that is loaded with `override`, a URL in the code, a variable with another name (`env` in testdb.config.ts).',
]

export const destinationOf = ({ host, port, database }: Pick<Greeting, 'host' | 'port' | 'database'>): string =>
  `${host}:${port}${database === undefined ? '' : `/${database}`}`

export const describeChange = ({ name, from, to }: ChangedVariable): string =>
  to === undefined ? `${name} was ${from} and is not set any more` : `${name} was changed from ${from} to ${to}`
