import fc from 'fast-check'
import pg from 'pg'
import { afterEach, expect, test, vi } from 'vitest'
import { inSchema, joinOptions } from '../../src/postgres/schemas.ts'
import { type ConnectionTarget, describeTarget, formatUrl, parseUrl } from '../../src/postgres/target.ts'

const target = (more: Partial<ConnectionTarget> = {}): ConnectionTarget => ({
  ...{ host: 'db.example', port: 5433, user: 'app', password: 'secret', database: 'shop' },
  ...more,
})

afterEach(() => {
  vi.unstubAllEnvs()
})

test.each<[what: string, target: ConnectionTarget]>([
  ['plain', target()],
  ['no password', target({ password: undefined })],
  ['special characters', target({ user: 'a:b@c/d', password: `p@ss/w:rd?#%&+ 'é"\\`, database: 'my db' })],
  ['a database with delimiters', target({ database: 'a?b#c/d%3Fe&f=g+h@i' })],
  ['a percent sign', target({ password: '100%25', database: '100%' })],
  ['a socket', target({ host: '/var/run/my sockets' })],
  ['IPv6', target({ host: '::1' })],
  ['IPv6, full', target({ host: '2001:db8::8a2e:370:7334' })],
  ['TLS without verification', target({ ssl: { rejectUnauthorized: false } })],
  ['TLS forbidden', target({ ssl: false })],
  ['a socket and TLS forbidden', target({ host: '/tmp', ssl: false })],
])('a URL keeps everything: %s', (_what, original) => {
  expect(parseUrl(formatUrl(original))).toEqual(original)
})

test('a URL keeps every user, password and database', () => {
  const text = fc.string({ minLength: 1, unit: 'grapheme-ascii' })
  fc.assert(
    fc.property(text, text, text, (user, password, database) => {
      // `.` and `..` are folders in any URL.
      fc.pre(!/^\.{1,2}(\/|$)|\/\.{1,2}(\/|$)/.test(database))
      const original = target({ user, password, database })
      expect(parseUrl(formatUrl(original))).toEqual(original)
    }),
  )
})

test('the driver reads the URL of a worker as we do', () => {
  const original = target({ user: 'a b@c', password: 'p:/?#[]@%"', database: 'testdb_shop_1' })
  const client = new pg.Client({ connectionString: formatUrl(original) })
  const { host, port, user, password, database } = client
  expect({ host, port, user, password, database }).toEqual(original)
})

test('what is missing comes from the environment, then from the defaults', () => {
  for (const name of ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE']) vi.stubEnv(name, undefined)
  expect(parseUrl('postgres://')).toEqual(
    target({ host: 'localhost', port: 5432, user: 'postgres', password: undefined, database: 'postgres' }),
  )
  vi.stubEnv('PGHOST', 'other')
  vi.stubEnv('PGPASSWORD', 'from env')
  expect(parseUrl('postgres://app@/shop')).toMatchObject({ host: 'other', password: 'from env', database: 'shop' })
})

test('TLS is asked for as the URL says', () => {
  expect(parseUrl('postgres://a@h/d?sslmode=no-verify').ssl).toEqual({ rejectUnauthorized: false })
  expect(formatUrl(target({ ssl: true }))).toContain('?sslmode=require')
  expect(formatUrl(target({ host: '/tmp', ssl: true }))).toContain('&sslmode=require')
})

test('a description never has the password', () => {
  expect(describeTarget(target({ password: 'hunter2' }))).toBe('app@db.example:5433/shop')
  expect(describeTarget(target({ password: 'hunter2', host: '/tmp' }))).toBe('app@/tmp port 5433/shop')
})

test('a target in a schema: settings of the URL stay, and what leads other tools to a schema leads there', () => {
  const url =
    'postgres://app@db/shop_test?options=-c%20statement_timeout%3D5000&schema=foo&currentSchema=bar&keepalives=1'
  const inside = inSchema(parseUrl(url), 'testdb_shop_3')
  expect(inside.options).toMatch(/^-c statement_timeout=5000 -c search_path=testdb_shop_3,public /)
  const query = new URL(formatUrl(inside)).searchParams
  expect(query.getAll('options')).toEqual([inside.options])
  expect([query.get('schema'), query.get('currentSchema'), query.get('keepalives')]).toEqual([
    'testdb_shop_3',
    'testdb_shop_3',
    '1',
  ])
})

test('settings of the environment do not grow with each schema that a process has', () => {
  const optionsOf = (schema: string): string => inSchema(target(), schema).options ?? ''
  const first = joinOptions('-c jit=off', optionsOf('testdb_a_1'))
  const second = joinOptions(first, optionsOf('testdb_a_2'))
  expect(second).toBe(`-c jit=off ${optionsOf('testdb_a_2')}`)
  expect(joinOptions(undefined, optionsOf('testdb_a_1'))).toBe(optionsOf('testdb_a_1'))
})
