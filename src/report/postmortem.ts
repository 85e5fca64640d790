/** What a failed test had changed in its database: for people, and as JSON. */

import type { Row, TableChanges } from '../databases/reset/strategy.ts'

export interface Postmortem {
  readonly test: string
  /** Around the test, from the outermost. */
  readonly blocks?: readonly string[] | undefined
  readonly file: string
  readonly database: string
  /** Undefined when the strategy does not know. */
  readonly changes: readonly TableChanges[] | undefined
  /** Where the database can be looked at, if it was kept. */
  readonly kept: string | undefined
}

/** Rows of each kind and table, tables, and characters of a row: what a failure's output has room for. */
const ROWS = 3
const TABLES = 10
const LENGTH = 120

/** Lines to print. Rows added are marked +, removed -, changed ~ with the columns that changed. */
export function describePostmortem({ test, database, changes, kept }: Postmortem, json: string | undefined): string[] {
  const lines =
    changes === undefined
      ? [`"${test}" failed in ${database}`]
      : [`"${test}" failed; what it had changed in ${database}:`, ...describeChanges(changes)]
  if (json !== undefined && changes !== undefined && changes.length > 0) lines.push(`  as JSON: ${json}`)
  if (kept !== undefined) lines.push(`  kept as ${kept}`)
  return lines
}

function describeChanges(changes: readonly TableChanges[]): string[] {
  const lines = changes.length === 0 ? ['  nothing'] : []
  for (const one of changes.slice(0, TABLES)) {
    lines.push(
      `  ${one.table}: ${one.added} added, ${one.removed} removed, ${one.changed} changed`,
      ...one.rows.added.slice(0, ROWS).map((row) => `    + ${short(row)}`),
      ...one.rows.removed.slice(0, ROWS).map((row) => `    - ${short(row)}`),
      ...one.rows.changed.slice(0, ROWS).map(({ before, now }) => `    ~ ${difference(before, now)}`),
    )
  }
  if (changes.length > TABLES) lines.push(`  … and ${changes.length - TABLES} more tables`)
  return lines
}

const short = (row: Row): string => cut(JSON.stringify(row))

function difference(before: Row, now: Row): string {
  const columns = Object.keys({ ...before, ...now })
  const same = columns.filter((column) => JSON.stringify(before[column]) === JSON.stringify(now[column]))
  const changed = columns.filter((column) => !same.includes(column))
  const which = same.slice(0, 1).map((column) => `${column}: ${JSON.stringify(now[column])}`)
  const what = changed.map((column) => `${column}: ${JSON.stringify(before[column])} → ${JSON.stringify(now[column])}`)
  return cut([...which, ...what].join(', '))
}

const cut = (text: string): string => (text.length > LENGTH ? `${text.slice(0, LENGTH)} …` : text)
