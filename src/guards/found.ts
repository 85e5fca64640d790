/** What a guard gives: complaints. Each guard is a function of what was observed, and knows nothing of runners. */

export interface Found {
  /** What was found, with names and numbers; in one or more lines. */
  readonly message: string
  readonly advice: readonly string[]
  /** Plain data. */
  readonly details: Readonly<Record<string, unknown>>
}

/** Characters of a statement. */
const LENGTH = 80

/** A statement in one line. One that mentions a password has it in its text, so it is not shown. */
export function shortStatement(sql: string | undefined | null): string {
  const text = (sql ?? '').replace(/\s+/g, ' ').trim()
  if (text === '') return 'no statement'
  if (/password/i.test(text)) return 'a statement with a password'
  return text.length > LENGTH ? `${text.slice(0, LENGTH)}…` : text
}

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
