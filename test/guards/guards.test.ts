/** What each guard says of what was observed, and when it says nothing. */
import { expect, test } from 'vitest'
import { advisoryLock } from '../../src/guards/advisory-lock.ts'
import { checkedOutClient } from '../../src/guards/checked-out-client.ts'
import { shortStatement } from '../../src/guards/found.ts'
import { idleInTransaction } from '../../src/guards/idle-in-transaction.ts'
import { stillWriting, wroteAfterReset } from '../../src/guards/late-write.ts'
import { asksForSomething, manyQueries, normalised } from '../../src/guards/many-queries.ts'
import { openPool } from '../../src/guards/open-pool.ts'
import { type ChangedVariable, otherServer } from '../../src/guards/other-server.ts'
import { outsideObjects } from '../../src/guards/outside-objects.ts'
import { type PlacedPool, severalPools } from '../../src/guards/several-pools.ts'
import { unusedDatabase } from '../../src/guards/unused-database.ts'

const WHO = '"a test"'

test('who has left nothing is not named', () => {
  expect([
    ...idleInTransaction(WHO, []),
    ...advisoryLock(WHO, []),
    ...stillWriting(WHO, []),
    ...wroteAfterReset(WHO, []),
    ...checkedOutClient('a.test.js', []),
    ...severalPools(WHO, []),
    ...openPool('a.test.js', []),
    ...outsideObjects(WHO, []),
    ...manyQueries(WHO, { max: 2, count: 2, texts: new Map([['select 1', 2]]) }),
    ...otherServer(WHO, { greetings: [], database: 'own', changed: [] }),
    ...unusedDatabase('a.test.js', 2, { greetings: [], database: 'own', changed: [] }),
  ]).toEqual([])
})

test('a statement is one short line, and none that mentions a password', () => {
  expect(shortStatement('select\n  n')).toBe('select n')
  expect(shortStatement(`select 'postgres://bob:geheim@host/db', ${'x'.repeat(300)}`)).toHaveLength(201)
  expect(
    shortStatement("select 'postgres://bob:geheim@host/db', set_config('app.token', 'geheim', false)"),
  ).not.toContain('geheim')
  expect(shortStatement("alter role a PASSWORD 'geheim'")).not.toContain('geheim')
  expect(shortStatement(undefined)).toBe('no statement')
})

const pool = (more: Partial<PlacedPool> = {}): PlacedPool => ({
  ...{ place: 'src/db.ts:5', database: 'own', purpose: 'app api', kind: 'pg.Pool', connections: 2 },
  ...more,
})

test('several pools: of one place, to one database, for one purpose', () => {
  const [found, ...others] = severalPools(WHO, [pool(), pool(), pool({ place: 'src/b.ts:1' })])
  expect(found?.message).toBe(
    'when "a test" ended, 2 pools (pg.Pool) that were made at src/db.ts:5 were open to own, with 4 connections',
  )
  expect(others).toEqual([])
  for (const other of [{ place: 'src/b.ts:1' }, { database: 'audit' }, { purpose: 'app jobs' }]) {
    expect(severalPools(WHO, [pool(), pool(other)])).toEqual([])
  }
  const unknown = pool({ place: undefined })
  expect(severalPools(WHO, [unknown, unknown])).toEqual([])
})

test('open pools: one finding for each place', () => {
  const found = openPool('a.test.js', [pool(), pool(), pool({ place: 'src/b.ts:1' })])
  expect(found.map(({ message }) => message)).toEqual([
    '2 pools (pg.Pool) made at src/db.ts:5 had not been closed at the end of a.test.js, with 4 connections; the process runs further files, and it stays open meanwhile',
    expect.stringContaining('1 pool (pg.Pool) made at src/b.ts:1'),
  ])
})

test.each([
  ['select * from t where id = 17', 'select * from t where id = ?'],
  ["select * from t where name = 'o''neil' and n = -2.5", 'select * from t where name = ? and n = ?'],
  ['select * from t where id = $1', 'select * from t where id = ?'],
  ['insert into t values ($1, $2), ($3, $4)', 'insert into t values (?)'],
  ['select * from table1 where id in (1, 2, 3)', 'select * from table1 where id in (?)'],
])('many queries: %s is of the kind %s', (text, kind) => {
  expect(normalised(text)).toBe(kind)
})

test('many queries: the kind that is repeated most, not what controls a transaction', () => {
  const texts = new Map([
    ['select 1 from a', 2],
    ['select * from t where id = 1', 2],
    ['select * from t where id = 2', 2],
  ])
  const [found] = manyQueries(WHO, { max: 5, count: 6, texts })
  expect(found?.message).toBe(
    '"a test" sent 6 statements, at most 5 are expected; 4 of them: select * from t where id = ?',
  )
  expect(['begin', 'COMMIT;', ' savepoint a', 'set x = 1'].filter(asksForSomething)).toEqual([])
  expect(asksForSomething('beginning')).toBe(true)
})

const greeting = { host: '10.0.0.1', port: 5432, database: 'prod', user: 'app', ours: false, driver: true }
const CHANGED: ChangedVariable[] = [{ name: 'DATABASE_URL', from: 'localhost:1/own', to: '10.0.0.1:5432/prod' }]

test('other servers: each once, and what leads there', () => {
  const found = otherServer(WHO, { greetings: [greeting, greeting], database: 'own', changed: CHANGED })
  expect(found).toHaveLength(1)
  expect(found[0]?.message).toBe(
    '"a test" connected to 10.0.0.1:5432/prod as app, another server than that of this run; its own database is own\n  DATABASE_URL was changed from localhost:1/own to 10.0.0.1:5432/prod',
  )
})

test('an unused database: only where the tests were elsewhere, or were led there', () => {
  const none = { greetings: [], database: 'own', changed: [] }
  expect(unusedDatabase('a.test.js', 0, { ...none, changed: CHANGED })).toEqual([])
  expect(unusedDatabase('a.test.js', 2, { ...none, changed: CHANGED })).toHaveLength(1)
  const [found] = unusedDatabase('a.test.js', 2, { ...none, greetings: [greeting] })
  expect(found?.message).toBe(
    'none of the 2 tests of a.test.js connected to their database own. They connected to 10.0.0.1:5432/prod.',
  )
})
