import { afterEach, expect, test, vi } from 'vitest'
import { connectUrl, saysTest } from '../../src/server/url.ts'

afterEach(() => vi.unstubAllEnvs())

test.each(['test', 'app_test', 'test_app', 'app-testing', 'ci', 'ci_7', 'CI', 'my.test.db', 'test2'])(
  '%s says test',
  (name) => {
    expect(saysTest(name)).toBe(true)
  },
)

test.each(['app', 'latest', 'contest', 'cities', 'attest_ation', 'tester', 'postgres', 'production', ''])(
  '%s does not say test',
  (name) => {
    expect(saysTest(name)).toBe(false)
  },
)

test('a database that does not say test is refused before anything is connected to, on localhost too', async () => {
  vi.stubEnv('TESTDB_ALLOW', '')
  // Nothing listens on port 1: reaching for it would be another error.
  const failure = await connectUrl({ url: 'postgres://me:secret@localhost:1/shop' }).catch((error: unknown) => error)
  expect(failure).toMatchObject({
    code: 'TESTDB_SERVER_NOT_DISPOSABLE',
    details: { host: 'localhost', port: 1, user: 'me', database: 'shop' },
  })
  expect(JSON.stringify([String(failure), failure])).not.toContain('secret')
})

test.each([
  { allow: true, env: '' },
  { allow: undefined, env: '1' },
])('allow $allow with TESTDB_ALLOW=$env lets it through', async ({ allow, env }) => {
  vi.stubEnv('TESTDB_ALLOW', env)
  const failure = await connectUrl({ url: 'postgres://me:secret@127.0.0.1:1/shop', allow }).catch((e: unknown) => e)
  expect(failure).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE', cause: { code: 'ECONNREFUSED' } })
  expect(String(failure)).toContain('me@127.0.0.1:1/shop')
  expect(String(failure)).not.toContain('secret')
})

test('a certificate that can not be read is named, and not the URL', async () => {
  const url = 'postgres://app:hunter2@localhost/app_test?sslmode=verify-full&sslrootcert=/nowhere/ca.pem'
  const error = (await connectUrl({ url }).catch((thrown: unknown) => thrown)) as Error
  expect(error).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
  expect(error.message).toContain('names a file that can not be read: /nowhere/ca.pem (ENOENT)')
  expect(error.message).not.toContain('hunter2')
})

test('what is not a connection string is an error that does not repeat it', async () => {
  const failure = await connectUrl({ url: 'postgres://me:secret@[half/test' }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
  expect(JSON.stringify([String(failure), failure])).not.toContain('secret')
})
