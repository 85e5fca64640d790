/** What a run prints when it ends. */
import { formatDuration, plural } from './format.ts'
import type { Problem, RunReport } from './run-report.ts'

export interface Summary {
  readonly lines: readonly string[]
  readonly problems: boolean
}

/** Lines at the end of a run; the rest is a command away. */
const MOST_LINES = 8

/** One line when all is well, a short table when not. */
export function endOfRun(report: RunReport): Summary {
  const { problems } = report
  const line = `testdb: ${oneLineOf(report)}`
  if (problems.length === 0) return { lines: [line], problems: false }
  const left = problems.length - MOST_LINES
  const lines = [
    line,
    ...problems.slice(0, MOST_LINES).map(describe),
    ...(left > 0 ? [`  … and ${left} more`] : []),
    '  for the whole story: npx testdb report --html',
  ]
  return { lines, problems: true }
}

export const MARKS = { critical: '✗', warning: '!' } as const
/** Characters of a line: holders come with statements. */
const LENGTH = 200

export const describe = ({ severity, text }: Problem): string =>
  `  ${MARKS[severity]} ${text.length > LENGTH ? `${text.slice(0, LENGTH)} …` : text}`

/** The run in one line. */
export function oneLineOf(report: RunReport): string {
  const { workers, setUpMs, resets, connections, state, durationMs, findings } = report
  const files = workers.reduce((sum, one) => sum + one.files.length, 0)
  if (state === 'failed') return `the run did not start, after ${formatDuration(durationMs)}`
  const parts = [
    plural(files, 'file'),
    plural(workers.filter((one) => one.files.length > 0).length, 'worker'),
    ...(setUpMs === null ? [] : [`${formatDuration(setUpMs)} set-up`]),
    ...(resets.count === 0 ? [] : [`resets ${resets.count} (median ${ms(resets.medianMs)}, p95 ${ms(resets.p95Ms)})`]),
    ...(connections.peak === null ? [] : [`peak ${connections.peak} of ${connections.limit} connections`]),
    ...(findings.length === 0 ? [] : [plural(findings.length, 'finding')]),
  ]
  return parts.join(', ')
}

/** Short times: `0.6 ms`, `14 ms`, from a second on `1.2 s`. */
export function ms(value: number | null): string {
  if (value === null) return '–'
  if (value >= 1_000) return formatDuration(value)
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`
}
