import { expect, test } from 'vitest'
import { monitorPool } from '../../src/pools/index.ts'
import { Level, TimeoutRate } from '../../src/pools/monitor/thresholds.ts'
import { shownStatement, statementOf } from '../../src/postgres/statement-text.ts'

test('a level is told when it rises, and again only after a window without it', () => {
  const level = new Level([0.8, 0.95], 1_000)
  const told = [
    [0.7, 0],
    [0.8, 10],
    // Swings around the threshold.
    [0.5, 20],
    [0.85, 500],
    [0.9, 1_400],
    [0.95, 1_500],
    [1, 1_600],
    // Critical was 1.7 s ago, warning 0.1 s ago: it has fallen to warning, and rises again.
    [0.8, 3_200],
    [0.96, 3_300],
  ].map(([value = 0, now = 0]) => level.observe(value, now))
  expect(told).toEqual([
    ...[undefined, 'warning', undefined, undefined, undefined],
    ...['critical', undefined, 'warning', 'critical'],
  ])
  expect([level.current(4_000), level.current(4_400)]).toEqual(['critical', 'normal'])
  expect(level.observe(0.8, 4_500)).toBe('warning')
})

test('time limits count in the window, and from the smallest sample on', () => {
  const rate = new TimeoutRate(60_000, 100)
  for (let i = 0; i < 99; i++) rate.add(i < 5, 1_000)
  expect(rate.rate(1_000)).toBeUndefined()
  rate.add(false, 2_000)
  expect(rate.rate(2_000)).toBe(0.05)
  for (let i = 0; i < 100; i++) rate.add(false, 30_000)
  expect(rate.rate(30_000)).toBe(0.025)
  expect(rate.rate(65_000)).toBe(0)
  expect(rate.rate(95_000)).toBeUndefined()
})

test.each([
  [`select * from users where mail = 'a@b.c' and age > 42`, 'select * from users where mail = ? and age > ?'],
  [`select 'it''s', E'a\\'b', $1, t1.c2`, 'select ?, ?, $1, t1.c2'],
  ['select $$secret$$, $tag$ a $$ b $tag$, "Column 1"', 'select ?, ?, "Column 1"'],
  ['select 1 -- token abc\n/* key xyz */ + 1.5e3', 'select ? + ?'],
  [`insert into t values ('never closed`, 'insert into t values (?'],
  [`alter role x password 'p'`, '(a statement that mentions a password)'],
  ['select 1 /* the Passwd */', '(a statement that mentions a password)'],
  [`select ${'a, '.repeat(100)}`, `select ${'a, '.repeat(64)}a…`],
])('%s is shown as %s', (text, shown) => {
  expect(shownStatement(text)).toBe(shown)
})

test('the text of what the driver is asked', () => {
  const asked = ['select 1', { text: 'select 2', values: [] }, { cursor: { text: 'select 3' } }, { text: 4 }, null]
  expect(asked.map(statementOf)).toEqual(['select 1', 'select 2', 'select 3', '', ''])
})

test('every wrong option at once', () => {
  expect(() => monitorPool({})).toThrow('pool: expected a pg.Pool or a Knex instance')
  const pool = {
    ...{ connect() {}, on() {}, removeListener() {}, totalCount: 0, idleCount: 0, waitingCount: 0, options: {} },
  }
  const options = {
    ...{ windowMs: 0, minSample: 3, name: '', onAlert: 1, logger: {}, prometheus: {} },
    ...{ thresholds: { connections: [0.9, 0.8], wait: [1, 2] } },
  }
  expect(() => monitorPool(pool, options as never)).toThrow(/8 problems[\s\S]*docs\/pools.md/)
  expect(() => monitorPool(pool, { logEveryMs: 1000 })).toThrow('logEveryMs: expected a logger beside it, got none')
})
