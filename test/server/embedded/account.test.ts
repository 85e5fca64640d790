import { expect, test } from 'vitest'
import { chooseAccount } from '../../../src/server/embedded/account.ts'
import { isOdd } from '../../../src/server/embedded/locations.ts'
import { serverSettings } from '../../../src/server/embedded/settings.ts'

test('an ordinary user runs Postgres as itself', () => {
  expect(chooseAccount(1000)).toBeUndefined()
})

test('root without a user to switch to is told so', () => {
  expect(() => chooseAccount(0, '/dev/null')).toThrow(/TESTDB_SERVER_START_FAILED.*none of the users postgres, nobody/)
})

test('settings that a version or platform does not know are left out', () => {
  const input = { clusterName: 'testdb-x', port: 5432, socketDir: '/tmp/with space', maxConnections: 700 }
  expect(serverSettings({ ...input, major: 15, platform: 'linux' })).not.toHaveProperty('scram_iterations')
  expect(serverSettings({ ...input, major: 16, platform: 'linux' })).toMatchObject({
    scram_iterations: '1',
    max_connections: '700',
    unix_socket_directories: '"/tmp/with space"',
  })
  const windows = serverSettings({ ...input, socketDir: undefined, major: 18, platform: 'win32' })
  expect(windows).toMatchObject({ unix_socket_directories: '' })
  expect(windows).not.toHaveProperty('client_connection_check_interval')
  expect(windows).not.toHaveProperty('dynamic_shared_memory_type')
})

test.each(['dou"ble', 'semi;colon', 'co:lon', 'dol$lar', 'back\\slash', 'new\nline', 'back`tick', 'tab\t', 'del\x7f'])(
  'a folder name that Postgres can not have everywhere: %j',
  (name) => {
    expect(isOdd(`/tmp/${name}/x`)).toBe(true)
  },
)

test.each(["it's", 'a b', 'ünï', 'x,y', '100%', 'a&b|c<d>', '(x)', '#!*?'])(
  'a folder name that it can have: %j',
  (name) => {
    expect(isOdd(`/tmp/${name}/x`)).toBe(false)
  },
)
