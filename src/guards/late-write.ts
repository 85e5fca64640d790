/** The guard `lateWrite`: what nobody awaited writes after its test, and next time into another one. */
import type { Leftover } from '../postgres/index.ts'
import { type Found, sessionName, shortStatement } from './found.ts'

const ADVICE = [
  'Await everything that the test starts; wait for background work of the application before the test ends.',
]

/** `sessions`: those whose transaction has written and goes on. */
export function stillWriting(who: string, sessions: readonly Leftover[]): Found[] {
  if (sessions.length === 0) return []
  const lines = sessions.map((one) => `\n  ${sessionName(one)}: ${shortStatement(one.query)}`)
  return [
    {
      message: `${who} was over and still wrote to its database:${lines.join('')}`,
      advice: ADVICE,
      details: { sessions: sessions.map(({ pid, query }) => ({ pid, query: shortStatement(query) })) },
    },
  ]
}

/** `tables`: those that were written to between the reset and what came next. */
export function wroteAfterReset(who: string, tables: readonly string[]): Found[] {
  if (tables.length === 0) return []
  return [
    {
      message: `after ${who} had ended and its database was put back, something wrote to ${tables.join(', ')}`,
      advice: ADVICE,
      details: { tables },
    },
  ]
}
