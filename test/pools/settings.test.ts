import { expect, test } from 'vitest'
import { isTestDbError } from '../../src/errors.ts'
import { createAdvisoryLocks } from '../../src/locks/index.ts'
import { createPool } from '../../src/pools/index.ts'
import { type NumberSetting, readSettings } from '../../src/pools/settings.ts'

const SPECS = {
  max: { env: 'SOME_MAX', fallback: 20, most: 1_000, unit: 'connections' },
  waitMs: { env: 'SOME_WAIT_MS', fallback: 10_000, most: 86_400_000, unit: 'ms' },
} as const satisfies Record<string, NumberSetting>
const url = 'postgresql://me:secret@db:5432/app'

const read = (options: Parameters<typeof readSettings<keyof typeof SPECS>>[2], env: NodeJS.ProcessEnv = {}) =>
  readSettings('maker', SPECS, options, 'name', { DATABASE_URL: url, ...env })

test('an option wins over its variable, which wins over the default', () => {
  expect(read({}).numbers).toEqual({ max: 20, waitMs: 10_000 })
  expect(read({}, { SOME_MAX: '7', SOME_WAIT_MS: ' 5 ' }).numbers).toEqual({ max: 7, waitMs: 5 })
  expect(read({ max: 3 }, { SOME_MAX: '7', SOME_WAIT_MS: '' }).numbers).toEqual({ max: 3, waitMs: 10_000 })
  expect(read({ max: undefined, connectionString: 'postgres://other/x' })).toMatchObject({
    target: { host: 'other', database: 'x' },
    applicationName: 'name',
    numbers: { max: 20 },
  })
})

const makers = { createPool, createAdvisoryLocks }
test.each(
  Object.entries(makers).flatMap(([name, make]) =>
    [0, -1, 1e9, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null, {}].map((max) => ({ name, make, max })),
  ),
)('$name: max $max is refused', ({ make, max }) => {
  expect(() => make({ connectionString: url, max: max as number })).toThrow(
    expect.objectContaining({
      code: 'TESTDB_CONFIG_INVALID',
      what: expect.stringContaining('max: expected an integer from 1 to 1000 (connections), got '),
    }),
  )
})

test('all problems are told at once, and no password', () => {
  let error: unknown
  try {
    createAdvisoryLocks({
      connectionString: 'mysql://me:secret@db.example',
      max: 0,
      lockTimeoutMs: -1,
      idleInTransactionMs: 1e12,
      connectionTimeoutMs: 'secret@word' as unknown as number,
      applicationName: '',
      lockTimeout: 5,
    } as Parameters<typeof createAdvisoryLocks>[0])
  } catch (thrown) {
    error = thrown
  }
  expect(isTestDbError(error) && error.details.problems).toEqual([
    expect.stringContaining('lockTimeout: unknown option; accepted: max,'),
    'max: expected an integer from 1 to 1000 (connections), got 0',
    'connectionTimeoutMs: expected an integer from 1 to 86400000 (ms), got a text of 11 characters',
    'lockTimeoutMs: expected an integer from 1 to 86400000 (ms), got -1',
    'idleInTransactionMs: expected an integer from 1 to 86400000 (ms), got 1000000000000',
    'applicationName: expected a text that is not empty, got ""',
    expect.stringMatching(/^connectionString: expected postgresql:.*, got a text of 28 characters$/),
  ])
  expect(String(error)).not.toContain('secret')
})

test('a missing connection string', () => {
  expect(() => readSettings('maker', SPECS, {}, 'name', {})).toThrow('got nothing, and DATABASE_URL is not set')
})

test('a wrong variable is ignored with one warning', async () => {
  const warnings: (Error & { code?: string })[] = []
  const listen = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listen)
  try {
    for (const value of ['ten', '0', '-5', '1.5', '1e3', '99999999'])
      for (let twice = 0; twice < 2; twice++) expect(read({}, { SOME_MAX: value }).numbers.max).toBe(20)
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off('warning', listen)
  }
  expect(warnings.map(({ message }) => message)).toEqual(
    ['ten', '0', '-5', '1.5', '1e3', '99999999'].map(
      (value) => `SOME_MAX: expected an integer from 1 to 1000 (connections), got "${value}"; maker() uses 20`,
    ),
  )
  expect(warnings[0]).toMatchObject({ name: 'TestDbWarning', code: 'TESTDB_CONFIG_INVALID' })
})

test.each(Object.entries(makers))('%s connects to nobody until it is used', async (_, make) => {
  const made = make({ connectionString: 'postgresql://127.0.0.1:1/app_test' })
  await ('end' in made ? made.end() : made.close())
})

test('null is no way to leave a connection string out, and a text no way to give it', () => {
  expect(() => read({ connectionString: null as never })).toThrow(
    expect.objectContaining({
      code: 'TESTDB_CONFIG_INVALID',
      what: expect.stringContaining('connectionString: expected'),
    }),
  )
  for (const make of Object.values(makers)) {
    expect(() => make(url as never)).toThrow(
      expect.objectContaining({ details: { problems: [expect.stringContaining('options: expected an object')] } }),
    )
    expect(() => make(null as never)).toThrow(expect.objectContaining({ code: 'TESTDB_CONFIG_INVALID' }))
  }
})
