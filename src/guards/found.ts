import { shownStatement } from '../postgres/index.ts'

/** What a guard gives: complaints. Each guard is a function of what was observed, and knows nothing of runners. */

export interface Found {
  /** What was found, with names and numbers; in one or more lines. */
  readonly message: string
  readonly advice: readonly string[]
  /** Plain data. */
  readonly details: Readonly<Record<string, unknown>>
}

/** A statement in one line, without its literals: they may be anybody's secrets, and all of this is printed and kept. */
export const shortStatement = (sql: string | undefined | null): string => shownStatement(sql ?? '') || 'no statement'

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** `1 session`, `2 sessions`. */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

/** A session for people. */
export const sessionName = ({
  pid,
  applicationName,
}: {
  readonly pid: number
  readonly applicationName: string
}): string => `pid ${pid} ("${applicationName}")`
