/** The guard `manyQueries`: more statements than a test should need. The one that is repeated most is the N+1. */
import { type Found, shortStatement } from './found.ts'

export interface SentStatements {
  readonly max: number
  readonly count: number
  /** How often each text was sent. */
  readonly texts: ReadonlyMap<string, number>
}

export function manyQueries(who: string, { max, count, texts }: SentStatements): Found[] {
  if (count <= max) return []
  const kinds = new Map<string, number>()
  for (const [text, times] of texts) {
    const kind = normalised(text)
    kinds.set(kind, (kinds.get(kind) ?? 0) + times)
  }
  const [most, times] = [...kinds].sort((a, b) => b[1] - a[1])[0] ?? ['', 0]
  return [
    {
      message: `${who} sent ${count} statements, at most ${max} are expected; ${times} of them: ${shortStatement(most)}`,
      advice: [
        'Ask once for all rows (`where id = any ($1)`, a join) instead of once for each.',
        'Raise `guards.manyQueries.max` if the test needs them.',
      ],
      details: { count, max, repeated: shortStatement(most), times },
    },
  ]
}

/** What only controls a transaction, or the session, asks for nothing. */
export const asksForSomething = (text: string): boolean =>
  !/^\s*(begin|start\s+transaction|commit|rollback|savepoint|release|set|reset|discard|deallocate)\b/i.test(text)

/** The same text for statements that differ in values only. */
export const normalised = (text: string): string =>
  text
    .replace(/'(?:[^']|'')*'/g, '?')
    .replace(/\$\d+|(?<![\w"])-?\d+(?:\.\d+)?\b/g, '?')
    .replace(/\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*/g, '(?)')
    .replace(/\s+/g, ' ')
    .trim()
