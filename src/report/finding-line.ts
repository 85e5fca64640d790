/** A finding of a guard in one line. */
import { oneLine } from './format.ts'
import type { RunReport } from './run-report.ts'

/** The beginning of its message: its first line, with the next one where that is announced by a colon. */
export function whatWasFound(message: string): string {
  const [first = '', next = ''] = message.split('\n', 2)
  return oneLine(first.endsWith(':') ? `${first} ${next}` : first)
}

/** With its file, and with its test where the message does not name it. */
export function findingLine({ test, file, message }: RunReport['findings'][number]): string {
  const named = test === null || message.includes(`"${test}"`)
  const where = [named ? [] : [`"${test}"`], file === null ? [] : [`in ${file}`]].flat().join(' ')
  return where === '' ? whatWasFound(message) : `${where}: ${whatWasFound(message)}`
}
