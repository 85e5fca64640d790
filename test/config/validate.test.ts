import { expect, test } from 'vitest'
import { findProblems, formatProblem } from '../../src/config/validate.ts'

const lines = (config: unknown): string[] => findProblems(config).map(formatProblem)

test('a complete configuration has no problems', () => {
  const migrator = { name: 'custom', load: () => Promise.reject(new Error('not called')) }
  expect(
    lines({
      server: { kind: 'url', url: 'postgresql://me:secret@/app_test?host=/run/postgresql', allow: true },
      migrator,
      seed: 'seeds',
      isolation: 'database',
      reset: 'clone',
      pool: { max: 1 },
      env: ['DATABASE_URL', '_X1'],
      role: { superuser: true },
      extensions: ['pg_trgm'],
      hash: { include: ['db/**'], env: ['REGION'] },
      idle: 0,
    }),
  ).toEqual([])
  expect(lines({})).toEqual([])
  expect(lines({ env: false, seed: () => {}, server: { kind: 'embedded', storage: 'disk', port: 5433 } })).toEqual([])
  expect(lines({ reset: undefined, pool: undefined })).toEqual([])
})

test('names every problem at once, with path, expectation and value', () => {
  expect(
    lines({
      server: { kind: 'embedded', storage: 'ssd', port: 70_000 },
      migrator: 'knex',
      seed: 5,
      isolation: 'databse',
      reset: null,
      pool: { max: 'ten' },
      env: ['DATABASE_URL', '1BAD', ''],
      role: { superuser: 'yes' },
      extensions: ['', 7],
      hash: { include: 'db/**', env: ['A-B'] },
      idle: -1,
    }),
  ).toEqual([
    `server.storage: expected 'auto', 'memory' or 'disk', got "ssd"`,
    'server.port: expected an integer from 1 to 65535, got 70000',
    `migrator: expected a migrator such as knexMigrator({ directory: 'migrations' }), got "knex"`,
    'seed: expected the path of a file or folder, or a function, got 5',
    `isolation: expected 'database', 'schema' or 'shared', got "databse"`,
    `reset: expected 'rows', 'truncate', 'rollback', 'clone' or 'none' in this version, got null`,
    `pool.max: expected 'auto', or an integer from 1 to 1000, got "ten"`,
    `env[1]: expected the name of a variable for a URL such as 'DATABASE_URL', not PG…, TESTDB_… or PATH, got "1BAD"`,
    `env[2]: expected the name of a variable for a URL such as 'DATABASE_URL', not PG…, TESTDB_… or PATH, got ""`,
    'role.superuser: expected true or false, got "yes"',
    `extensions[0]: expected the name of an extension such as 'pg_trgm', got ""`,
    `extensions[1]: expected the name of an extension such as 'pg_trgm', got 7`,
    `hash.include: expected an array, each item a glob such as 'db/views/**/*.sql', got "db/**"`,
    `hash.env[0]: expected the name of an environment variable such as 'DATABASE_URL', got "A-B"`,
    'idle: expected an integer from 0 to 86400000 (milliseconds), got -1',
  ])
})

test.each([
  ['a text', 'knex', `expected an object such as { reset: 'rows' }, got "knex"`],
  ['null', null, `expected an object such as { reset: 'rows' }, got null`],
  ['an array', [], `expected an object such as { reset: 'rows' }, got an array with 0 items`],
  ['a nested array', { pool: [] }, 'pool: expected an object such as { max: 10 }, got an array with 0 items'],
  ['a fraction, once', { pool: { max: 0.5 } }, `pool.max: expected 'auto', or an integer from 1 to 1000, got 0.5`],
  ['negative', { pool: { max: -1 } }, `pool.max: expected 'auto', or an integer from 1 to 1000, got -1`],
  ['huge', { pool: { max: 1e9 } }, `pool.max: expected 'auto', or an integer from 1 to 1000, got 1000000000`],
  [
    'no time',
    { pool: { acquireMs: 0 } },
    'pool.acquireMs: expected an integer from 1 to 86400000 (milliseconds), got 0',
  ],
  [
    'text',
    { pool: { idleMs: '30s' } },
    'pool.idleMs: expected an integer from 1 to 86400000 (milliseconds), got "30s"',
  ],
  [
    'for ever',
    { pool: { statementMs: Infinity } },
    'pool.statementMs: expected an integer from 1 to 86400000 (milliseconds), got Infinity',
  ],
  ['zero', { pool: { max: 0 } }, `pool.max: expected 'auto', or an integer from 1 to 1000, got 0`],
  ['NaN', { idle: Number.NaN }, 'idle: expected an integer from 0 to 86400000 (milliseconds), got NaN'],
  ['too long', { idle: 86_400_001 }, 'idle: expected an integer from 0 to 86400000 (milliseconds), got 86400001'],
  [
    'a migrator that was not called',
    { migrator: () => {} },
    "migrator: expected a migrator such as knexMigrator({ directory: 'migrations' }), got a function",
  ],
  [
    'knex options',
    { migrator: { directory: 'x' } },
    "migrator: expected a migrator such as knexMigrator({ directory: 'migrations' }), got an object with directory",
  ],
  [
    'env: true',
    { env: true },
    "env: expected false, or an array of names of environment variables such as ['DATABASE_URL'], got true",
  ],
])('%s', (_name, config, expected) => {
  expect(lines(config)).toEqual([expected])
})

test.each([
  [{ isolaton: 'shared' }, 'isolaton: unknown key, did you mean `isolation`?'],
  [{ Reset: 'none' }, 'Reset: unknown key, did you mean `reset`?'],
  [{ pool: { mx: 3 } }, 'pool.mx: unknown key, did you mean `max`?'],
  [{ max: 3 }, 'max: unknown key, did you mean `pool.max`?'],
  [{ superuser: true }, 'superuser: unknown key, did you mean `role.superuser`?'],
  [{ server: { kind: 'embedded', prot: 1 } }, 'server.prot: unknown key, did you mean `port`?'],
  [{ server: { kind: 'url', alow: true } }, 'server.alow: unknown key, did you mean `allow`?'],
  [
    { pool: { something: 3 } },
    'pool.something: unknown key; accepted in `pool`: `max`, `acquireMs`, `idleMs`, `lifetimeMs`, `statementMs`, `idleInTransactionMs`',
  ],
  [{ report: { zzz: 3 } }, 'report.zzz: unknown key; accepted in `report`: `print`, `keep`'],
  [{ hash: { zzz: 3 } }, 'hash.zzz: unknown key; accepted in `hash`: `include`, `env`'],
])('unknown key %j', (config, expected) => {
  expect(lines(config)).toEqual([expected])
})

test('every unknown key is named, not only the first', () => {
  expect(lines({ isolaton: 1, rest: 1, zzzzzzzz: 1 })).toHaveLength(3)
})

const KINDS = `'embedded', 'url', 'testcontainers' or 'pg-mem'`

test.each([
  [
    { reset: 'savepoint' },
    `reset: expected 'rows', 'truncate', 'rollback', 'clone' or 'none' in this version, got "savepoint"`,
  ],
  [{ server: { kind: 'docker' } }, `server.kind: expected ${KINDS}, got "docker"`],
  [{ server: {} }, `server.kind: expected ${KINDS}, got nothing`],
])('a value that is none: %j', (config, expected) => {
  expect(lines(config)).toEqual([expected])
})

const SECRET = 'hunter2'

test.each([
  { server: { kind: 'url', url: `mysql://root:${SECRET}@db/app` } },
  { server: { kind: 'url', url: `root:${SECRET}@db/app` } },
  { server: { kind: 'url', url: `postgres://u:${SECRET}@h:99999/d` } },
  { server: { kind: 'url', url: { password: SECRET } } },
  { server: `postgres://u:${SECRET}@h/d` },
  { server: { kind: `postgres://u:${SECRET}@h/d` } },
  { server: { kind: 'embedded', url: `postgres://u:${SECRET}@h/d`, password: SECRET } },
  { url: `postgres://u:${SECRET}@h/d` },
  { migrator: { connection: `postgres://u:${SECRET}@h/d` } },
  { env: `DATABASE_URL=postgres://u:${SECRET}@h/d` },
  { hash: { env: [`u:${SECRET}@h`] } },
  { reset: `password=${SECRET}` },
  { reset: `https://hooks.example/${SECRET}` },
  `postgres://u:${SECRET}@h/d`,
])('a password is never shown: %#', (config) => {
  const problems = lines(config)
  expect(problems.length).toBeGreaterThan(0)
  expect(problems.join('\n')).not.toContain(SECRET)
})

test('long values are shortened', () => {
  expect(lines({ reset: 'x'.repeat(500) })[0]?.length).toBeLessThan(150)
})
