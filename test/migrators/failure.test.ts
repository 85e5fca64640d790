import fc from 'fast-check'
import { expect, test } from 'vitest'
import { failure, locate, redact, serverErrorIn } from '../../src/migrators/failure.ts'

const serverError = (fields: object): Error =>
  Object.assign(new Error('boom'), { severity: 'ERROR', code: '42601' }, fields)

test('shows position, detail, hint and file', () => {
  const error = serverError({ position: '12', detail: 'a detail', hint: 'a hint' })
  const { message, details } = failure({
    code: 'TESTDB_MIGRATION_FAILED',
    name: '001.sql',
    error,
    sql: 'select 1;\nx y\n',
    file: 'db/001.sql',
  })
  expect(message.split('\n').slice(0, 5)).toEqual([
    'TESTDB_MIGRATION_FAILED: migration 001.sql failed: boom (SQLSTATE 42601)',
    '  line 2, column 2: x y',
    '  detail: a detail',
    '  hint: a hint',
    '  file: db/001.sql:2:2',
  ])
  expect(details).toEqual({
    migration: '001.sql',
    file: 'db/001.sql',
    sqlstate: '42601',
    position: { line: 2, column: 2 },
    sqlMessage: 'boom',
  })
})

test('finds the server error below what wraps it, and survives a cycle', () => {
  const inner = serverError({})
  expect(serverErrorIn(new Error('outer', { cause: new Error('middle', { cause: inner }) }))).toBe(inner)
  const cycle = new Error('cycle')
  cycle.cause = cycle
  expect(serverErrorIn(cycle)).toBeUndefined()
  expect(serverErrorIn(Object.assign(new Error('x'), { code: 'EPIPE' }))).toBeUndefined()
})

test('locates what the server counted in characters', () => {
  const line = fc.string({ unit: 'grapheme-composite' }).map((text) => text.replace(/[\r\n]/g, ''))
  fc.assert(
    fc.property(fc.array(line), line, (before, prefix) => {
      const sql = [...before, `${prefix}HERE`].join('\n')
      const position = Array.from(sql).length - 3
      expect(locate(sql, position)).toEqual({
        line: before.length + 1,
        column: Array.from(prefix).length + 1,
        text: `${prefix}HERE`,
      })
    }),
  )
})

test.each([
  ["create role x password 'a''b' login", "create role x password '***' login"],
  ["alter user x with encrypted PASSWORD E'abc'", "alter user x with encrypted PASSWORD '***'"],
  ["dblink('host=h password=''s''')", undefined],
  ['connect to postgres://u:secret@h/d', 'connect to postgres://u:***@h/d'],
  ['password $x$secret$x$ y', "password '***' y"],
  ['select password from users', 'select password from users'],
])('hides passwords: %s', (text, expected) => {
  if (expected !== undefined) expect(redact(text)).toBe(expected)
  expect(redact(text)).not.toMatch(/secret|abc|''s''/)
})
