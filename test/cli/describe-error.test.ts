import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { describeError } from '../../src/cli/describe-error.ts'
import { Session } from '../../src/postgres/index.ts'
import { errorOf } from '../helpers/wait.ts'

test('a server that hangs up while the driver connects: the code and what to do', async () => {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const target = { host: '127.0.0.1', port, user: 'nobody', password: undefined, database: 'none' }
  const error = await errorOf(Session.open(target, { applicationName: 'test' }))
  server.close()
  const text = describeError(error, { stack: false })
  expect(text).toContain('TESTDB_SERVER_LOST: the server has ended a connection of this command: Connection terminated')
  expect(text).toContain('npx testdb status')
})

test('what nobody expected is shown as it is', () => {
  expect(describeError(new Error('odd'), { stack: false })).toContain('testdb failed unexpectedly: odd')
})
