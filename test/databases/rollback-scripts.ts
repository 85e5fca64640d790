/** Scripts that are played on real connections and on facades of one: the answers must be the same. */
import fc from 'fast-check'
import type pg from 'pg'
import { sqlstateOf } from '../../src/postgres/index.ts'

/** `a` and `b`: clients that are taken from the pool; without a name: the pool itself. */
type Step = string | readonly [client: 'a' | 'b', sql: string]
export type Script = readonly Step[]

const CONTENT =
  'select array(select name from items order by id) as items, array(select id from children order by id) as children'

/** What each step answers: command tags, rows, codes of errors; last, what is there when all clients have left. */
export async function play(pool: pg.Pool, script: Script): Promise<unknown[]> {
  const clients = new Map<string, pg.PoolClient>()
  const answers: unknown[] = []
  for (const step of script) {
    const [name, sql] = typeof step === 'string' ? ['', step] : step
    if (name !== '' && !clients.has(name)) clients.set(name, await pool.connect())
    answers.push([sql, await ask(clients.get(name) ?? pool, sql)])
  }
  for (const client of clients.values()) client.release(true)
  answers.push(await ask(pool, CONTENT))
  return answers
}

async function ask(on: pg.Pool | pg.PoolClient, sql: string): Promise<unknown> {
  try {
    const results = [await on.query(sql)].flat() as pg.QueryResult[]
    return results.map(({ command, rowCount, rows }) => ({ command, rowCount, rows }))
  } catch (error) {
    return { code: sqlstateOf(error), message: (error as Error).message }
  }
}

const on =
  (client: 'a' | 'b') =>
  (...statements: string[]): Step[] =>
    statements.map((sql) => [client, sql])
const a = on('a')
const b = on('b')
const add = (name: string): string => `insert into items (name) values ('${name}')`
const orphan = (id: number): string => `insert into children values (${id}, 9, ${id})`

export const LONE: readonly (readonly [what: string, ...script: Step[]])[] = [
  ['statements that fail', add('x'), 'nonsense', add('x'), 'select 1/0', add('y')],
  ['commit', ...a('BEGIN', add('x'), 'COMMIT', add('y'))],
  ['rollback', ...a('begin;', add('x'), 'ROLLBACK;', add('y'))],
  [
    'all spellings',
    ...a('start transaction read write', add('x'), '/* a */ abort -- b', 'Begin Work', add('y'), 'end work'),
  ],
  ['a failed transaction', ...a('begin', add('x'), 'nonsense', 'select 1', add('y'), 'commit', 'select 1')],
  [
    'a failed transaction that is begun again',
    ...a('begin', 'nonsense', 'begin', 'savepoint s', 'rollback', 'begin', add('x'), 'commit'),
  ],
  [
    'begin twice, then read only, in a chain',
    ...a('begin', 'begin read only', 'rollback and chain', 'delete from items', 'rollback'),
  ],
  ['begin twice', ...a('begin', add('x'), 'begin', add('y'), 'rollback', 'rollback', 'commit')],
  [
    'savepoints',
    ...a(
      'begin',
      add('1'),
      'savepoint s',
      add('2'),
      'savepoint S',
      add('3'),
      'rollback to s',
      add('4'),
      'release savepoint s',
      'rollback to savepoint s',
    ),
    ...a(add('5'), 'release s', add('6'), 'rollback to s', 'commit'),
  ],
  [
    'a failure behind a savepoint',
    ...a('begin', add('1'), 'savepoint "A b"', add('1'), add('2'), 'rollback to "A b"', add('3'), 'commit'),
  ],
  ['a savepoint of the transaction before', ...a('begin', 'savepoint s', 'commit', 'begin', 'rollback to s', 'commit')],
  [
    'savepoints without a transaction',
    ...a(
      'savepoint s',
      'release s',
      'rollback to s',
      'commit and chain',
      'rollback and chain',
      'set transaction read only',
    ),
  ],
  [
    'chains',
    ...a(
      'begin',
      add('1'),
      'commit and chain',
      add('2'),
      'rollback and chain',
      add('3'),
      'nonsense',
      'commit and chain',
      add('4'),
      'commit',
    ),
  ],
  [
    'several statements in a text',
    ...a(`begin; ${add('1')}; ${add('2')}; commit`, `begin; ${add('3')}; nonsense; commit`),
  ],
  [
    'a text that fails in its transaction',
    ...a(`begin; ${add('1')}; ${add('1')}; commit`, 'select 1', 'rollback', add('2')),
  ],
  ['a text without control', `${add('1')}; ${add('2')}`, `${add('3')}; ${add('1')}`],
  ['deferred: missing at the end of a statement', orphan(1), add('x')],
  ['deferred: missing at commit', ...a('begin', orphan(1), add('x'), 'commit', 'select 1')],
  [
    'deferred: there at commit',
    ...a('begin', orphan(1), 'insert into parents values (9)', 'commit', 'delete from children'),
  ],
  ['deferred: undone before commit', ...a('begin', 'savepoint s', orphan(1), 'rollback to s', add('x'), 'commit')],
  [
    'deferred: checked early',
    ...a('begin', 'set constraints all immediate', orphan(1), 'rollback', 'begin', orphan(2), 'rollback'),
  ],
  [
    'deferred: only for once',
    ...a(
      'begin',
      'set constraints all immediate',
      'commit',
      'begin',
      orphan(1),
      'insert into parents values (9)',
      'commit',
    ),
  ],
  [
    'deferred: a constraint that is not by itself',
    'insert into children values (1, 1, 1)',
    ...a('begin', 'set constraints all deferred', 'insert into children values (2, 1, 1)', 'commit'),
    ...a('begin', 'insert into children values (2, 1, 1)', 'rollback'),
  ],
  [
    'deferred: a new table',
    'create table more (id int references parents deferrable initially deferred)',
    ...a(
      'begin',
      'insert into more values (8)',
      'insert into parents values (8)',
      'commit',
      'insert into more values (7)',
      'drop table more',
    ),
  ],
  [
    'READ ONLY ends with its transaction',
    ...a(
      'begin read only',
      'select 1',
      'commit',
      add('x'),
      'begin',
      'set transaction read only',
      add('y'),
      'rollback',
      add('z'),
    ),
  ],
  [
    'settings',
    ...a(
      'begin',
      `set application_name = 'x'`,
      'rollback',
      `begin; set application_name = 'y'; commit`,
      `select current_setting('application_name')`,
    ),
  ],
]

export const TWO: readonly (readonly [what: string, ...script: Step[]])[] = [
  ['in each other', ...a('begin', add('1')), ...b('begin', add('2'), 'commit'), ...a(add('3'), 'commit')],
  ['the inner one undone', ...a('begin', add('1')), ...b('begin', add('2'), 'rollback'), ...a(add('3'), 'commit')],
  ['side by side', ...a('begin', add('1')), ...b('begin', add('2')), ...a('commit'), ...b(add('3'), 'commit')],
  [
    'a savepoint that was released below another',
    ...a('begin', 'savepoint s', add('1')),
    ...b('begin', 'select 1'),
    ...a('release s', 'rollback to s'),
    ...b('commit'),
    ...a('rollback'),
  ],
  ['one after the other', ...a('begin', add('1'), 'commit'), ...b('begin', add('2'), 'rollback')],
  [
    'a failure of the second',
    ...a('begin', add('1')),
    ...b('begin', 'nonsense', 'select 1'),
    ...a(add('2')),
    ...b('rollback'),
    ...a('commit'),
  ],
  ['beside a failed one', ...a('begin', 'nonsense'), add('log')],
  [
    'savepoints of both',
    ...a('begin', 'savepoint s', add('1')),
    ...b('begin', 'savepoint s', add('2'), 'rollback to s', 'commit'),
    ...a('release s', 'commit'),
  ],
]

// Without READ ONLY: whether the server keeps it in a chain after a failure depends on how it was set.
const STATEMENTS = [
  'begin',
  'begin',
  'commit',
  'commit',
  'rollback',
  'savepoint s',
  'savepoint t',
  'release s',
  'rollback to s',
  'rollback to t',
  'commit and chain',
  'rollback and chain',
  'select 1/0',
  add('1'),
  add('2'),
  add('3'),
  orphan(1),
  orphan(2),
  'insert into parents values (9)',
  'delete from items',
  'set constraints all immediate',
  `begin; ${add('4')}; commit`,
  'select 1',
]

export const fuzz = (compare: (script: Script) => Promise<void>) => async (): Promise<void> => {
  const script = fc.array(fc.constantFrom(...STATEMENTS), { minLength: 3, maxLength: 14 })
  await fc.assert(
    fc.asyncProperty(script, (statements) => compare(a(...statements))),
    { numRuns: 60 },
  )
}
