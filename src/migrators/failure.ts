/**
 * Turns what a migration or a seed threw into one error that says where and why. `details` are plain JSON data: the leader
 * stores them, and followers in other processes show them.
 */
import { type ErrorCode, messageOf, TestDbError } from '../errors.ts'

export interface Failure {
  readonly code: Extract<ErrorCode, 'TESTDB_MIGRATION_FAILED' | 'TESTDB_SEED_FAILED'>
  /** What failed, as the tool calls it: a file name, or a step. */
  readonly name: string
  /** The sentence's subject. @default `migration <name>` or `seed <name>` */
  readonly subject?: string
  readonly error: unknown
  /** The statement (or the file of statements) that `position` counts in. */
  readonly sql?: string | undefined
  /** Path for people, relative to the project. */
  readonly file?: string | undefined
  /** The server's message, when the tool has changed the error's own. */
  readonly message?: string | undefined
}

interface ServerError extends Error {
  readonly code: string
  readonly position?: string
  readonly hint?: string
  readonly detail?: string
}

export function failure(failure: Failure): TestDbError {
  const server = serverErrorIn(failure.error)
  const sqlMessage = redact(failure.message ?? messageOf(server ?? failure.error))
  const place = server?.position && failure.sql ? locate(failure.sql, Number(server.position)) : undefined
  const kind = failure.code === 'TESTDB_SEED_FAILED' ? 'seed' : 'migration'
  const lines = [`${failure.subject ?? `${kind} ${failure.name}`} failed: ${sqlMessage}`]
  if (server) lines[0] += ` (SQLSTATE ${server.code})`
  if (place) lines.push(`  line ${place.line}, column ${place.column}: ${redact(place.text.trim())}`)
  if (server?.detail) lines.push(`  detail: ${redact(server.detail)}`)
  if (server?.hint) lines.push(`  hint: ${redact(server.hint)}`)
  if (failure.file)
    lines.push(`  file: ${failure.file}${place && kindOfFile(failure.file) ? `:${place.line}:${place.column}` : ''}`)
  return new TestDbError(failure.code, lines.join('\n'), {
    details: {
      [kind]: failure.name,
      file: failure.file ?? null,
      sqlstate: server?.code ?? null,
      position: place ? { line: place.line, column: place.column } : null,
      sqlMessage,
    },
    cause: failure.error,
  })
}

/** Only in a file of SQL are the statement's lines the file's lines. */
const kindOfFile = (file: string): boolean => file.endsWith('.sql')

/** The server's error, also when the migration wrapped it. Five levels are more than anybody wraps and end a cycle. */
export function serverErrorIn(error: unknown): ServerError | undefined {
  let current = error
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    if (
      'code' in current &&
      typeof current.code === 'string' &&
      /^[0-9A-Z]{5}$/.test(current.code) &&
      'severity' in current
    )
      return current as ServerError
    current = current.cause
  }
  return undefined
}

export interface Place {
  readonly line: number
  readonly column: number
  /** The line of SQL, without its line break. */
  readonly text: string
}

/** Finds a position of the server, which counts characters from 1, where JavaScript counts UTF-16 units from 0. */
export function locate(sql: string, position: number): Place {
  const before = Array.from(sql).slice(0, position - 1)
  const lineStart = before.lastIndexOf('\n') + 1
  const line = before.reduce((count, char) => (char === '\n' ? count + 1 : count), 1)
  const text = sql.split('\n')[line - 1] ?? ''
  return { line, column: before.length - lineStart + 1, text: text.replace(/\r$/, '') }
}

/** Hides passwords that a statement or a connection string carries. */
export function redact(text: string): string {
  return text
    .replace(/(password\s*(?:=\s*)?)(?:[eE]?'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\2\$|$))/gi, "$1'***'")
    .replace(/(\w+:\/\/[^\s:/@]+:)[^\s@]+@/g, '$1***@')
}
