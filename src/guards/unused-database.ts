/** The guard `unusedDatabase`: tests that were green in another database than the one that was made for them. */
import type { Found } from './found.ts'
import { ADVICE, describeChange, destinationOf, type Elsewhere } from './other-server.ts'

/** `tests`: how many have run. Who connects nowhere, and leaves the environment alone, is a unit test. */
export function unusedDatabase(who: string, tests: number, { greetings, database, changed }: Elsewhere): Found[] {
  if (tests === 0 || (greetings.length === 0 && changed.length === 0)) return []
  const places = [...new Set(greetings.map(destinationOf))]
  const where = places.length === 0 ? '' : ` They connected to ${places.join(', ')}.`
  return [
    {
      message: [
        `none of the ${tests} tests of ${who} connected to their database ${database}.${where}`,
        ...changed.map(describeChange),
      ].join('\n  '),
      advice: ADVICE,
      details: { tests, database, places, changed },
    },
  ]
}
