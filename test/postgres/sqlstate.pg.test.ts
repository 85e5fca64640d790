/** Which errors say that a connection is lost: seen on real sockets, because the driver passes on what Node says. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { isConnectionLoss, Session } from '../../src/postgres/index.ts'

async function errorOf(host: string, port: number): Promise<unknown> {
  const target = { host, port, user: 'nobody', password: 'none', database: 'none', ssl: false } as const
  try {
    const session = await Session.open(target, { applicationName: 'test' })
    await session.close()
  } catch (error) {
    return error
  }
  throw new Error('somebody listens there')
}

test('a server that is gone: its port, its socket, and the folder of that', async () => {
  const listener = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => listener.once('listening', resolve))
  const { port } = listener.address() as { port: number }
  await new Promise((resolve) => listener.close(resolve))
  const folder = await mkdtemp(path.join(tmpdir(), 'gone-'))
  expect(isConnectionLoss(await errorOf('127.0.0.1', port))).toBe(true)
  expect(isConnectionLoss(await errorOf(folder, port))).toBe(true)
  await rm(folder, { recursive: true })
  expect(isConnectionLoss(await errorOf(folder, port))).toBe(true)
})

test('a file that is missing is something else', () => {
  try {
    readFileSync('/nowhere/at/all')
  } catch (error) {
    expect(isConnectionLoss(error)).toBe(false)
  }
  expect.assertions(1)
})
