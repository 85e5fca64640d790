import { expect, test } from 'vitest'
import { controlParts, parseControl } from '../../src/postgres/rollback/control.ts'
import { splitStatements } from '../../src/postgres/rollback/statements.ts'

test.each<[text: string, ...statements: string[]]>([
  ['select 1', 'select 1'],
  [' ; ;select 1;;', 'select 1'],
  ['begin; select 1 ; commit;', 'begin', 'select 1', 'commit'],
  [`select ';', "a;b", 'it''s;', E'\\';' ; end`, `select ';', "a;b", 'it''s;', E'\\';'`, 'end'],
  ['select $$;$$, $a$ ; $$ $a$, a$b$c; end', 'select $$;$$, $a$ ; $$ $a$, a$b$c', 'end'],
  ['select $1; commit', 'select $1', 'commit'],
  ['/* ; /* ; */ ; */ begin -- ; commit\n; end', 'begin', 'end'],
  ['begin\n\t work -- x', 'begin work'],
  [
    'create rule r as on insert to t do (select 1; select 2); commit',
    'create rule r as on insert to t do (select 1; select 2)',
    'commit',
  ],
  [
    'create function f() returns int begin atomic select case when true then 1 end; select 2; end; commit',
    'create function f() returns int begin atomic select case when true then 1 end; select 2; end',
    'commit',
  ],
  [`do $$ begin commit; end $$; rollback`, `do $$ begin commit; end $$`, 'rollback'],
  [`select 'open; end`, `select 'open`, 'end'],
  ['', ...[]],
  ['-- nothing', ...[]],
])('statements of %j', (text, ...statements) => {
  expect(splitStatements(text).map(({ bare }) => bare)).toEqual(statements)
})

test.each([
  ['BEGIN', { kind: 'begin', tag: 'BEGIN', access: undefined }],
  ['begin work', { kind: 'begin', tag: 'BEGIN', access: undefined }],
  [
    'Start Transaction isolation level serializable, READ ONLY, not deferrable',
    { kind: 'begin', tag: 'START', access: 'read only' },
  ],
  ['begin read only read write', { kind: 'begin', tag: 'BEGIN', access: 'read only' }],
  ['begin transaction isolation level repeatable read', { kind: 'begin', tag: 'BEGIN', access: undefined }],
  ['set transaction isolation level serializable read write', { kind: 'modes', access: 'read write' }],
  ['COMMIT', { kind: 'commit', chain: false }],
  ['end transaction', { kind: 'commit', chain: false }],
  ['commit and chain', { kind: 'commit', chain: true }],
  ['commit work and no chain', { kind: 'commit', chain: false }],
  ['abort', { kind: 'rollback', chain: false }],
  ['rollback transaction and chain', { kind: 'rollback', chain: true }],
  ['rollback to savepoint A', { kind: 'rollback to', name: 'a' }],
  ['rollback work to "A ""b"', { kind: 'rollback to', name: 'A "b' }],
  ['savepoint é_1$', { kind: 'savepoint', name: 'é_1$' }],
  ['release x', { kind: 'release', name: 'x' }],
  ['release savepoint savepoint', { kind: 'release', name: 'savepoint' }],
  [`prepare transaction 'x'`, { kind: 'two-phase', command: 'PREPARE TRANSACTION' }],
  [`commit prepared 'x'`, { kind: 'two-phase', command: 'COMMIT PREPARED' }],
  ['prepare p as select 1', undefined],
  ['begin nonsense', undefined],
  ['commit nonsense', undefined],
  ['select 1', undefined],
  ['set local transaction_isolation = serializable', undefined],
  [`set transaction snapshot '1'`, undefined],
])('%s', (bare, control) => {
  expect(parseControl(bare)).toEqual(control)
})

test('statements side by side stay one text, and texts without control are left alone', () => {
  expect(controlParts(`insert into t values ('a; end')`)).toBeUndefined()
  expect(controlParts('select 1; select 2')).toBeUndefined()
  expect(controlParts('select 1; select 2; begin; select 3; select 4; commit')?.map(({ text }) => text.trim())).toEqual(
    ['select 1; select 2', 'begin', 'select 3; select 4', 'commit'],
  )
})

test('the time for a text grows with its length, and no faster', () => {
  const timeFor = (rows: number): number => {
    const text = `insert into t values ${Array.from({ length: rows }, (_, n) => `(${n}, 'the end', atomic)`).join()}; commit`
    const startedAt = performance.now()
    expect(controlParts(text)).toHaveLength(2)
    return performance.now() - startedAt
  }
  timeFor(2_000)
  // Ten times as long; a hundred times the time where each row looked at all before it.
  expect(timeFor(50_000) / timeFor(5_000)).toBeLessThan(50)
})
