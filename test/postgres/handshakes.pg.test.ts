/** A burst of connections, on a server of the test's own that counts who has begun and who was answered. */
import { createServer, type Server, Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { onRefusal } from '../../src/postgres/index.ts'
import { eventually } from '../helpers/wait.ts'

/** AuthenticationOk and ReadyForQuery. */
const LET_IN = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

let server: Server
let port: number
let end: () => void
/** Connections that wait for an answer, as the server sees them. */
let waiting: Socket[]
let begun: number
const received: string[] = []

beforeEach(async () => {
  waiting = []
  begun = 0
  received.length = 0
  server = createServer((socket) => {
    begun++
    waiting.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => received.push(String(data)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as { port: number }).port
  end = onRefusal({ host: '127.0.0.1', port }, () => undefined)
})
afterEach(async () => {
  end()
  for (const socket of waiting) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

function open(): Socket {
  const socket = new Socket()
  socket.on('error', () => undefined)
  return socket.connect(port, '127.0.0.1')
}

test('three of a burst begin at the same moment, the next ones when those were answered; all are let in', async () => {
  const sockets = Array.from({ length: 20 }, open)
  let letIn = 0
  for (const socket of sockets) socket.on('data', () => letIn++)
  while (letIn < sockets.length) {
    const expected = Math.min(letIn + 3, sockets.length)
    await eventually('the next have begun', () => begun === expected)
    const before = letIn
    waiting.shift()?.write(LET_IN)
    await eventually('one is let in', () => letIn === before + 1)
  }
  for (const socket of sockets) socket.destroy()
})

test('what is written before its turn arrives; who has given up is passed over, and others are not held up', async () => {
  const first = [open(), open(), open()]
  await eventually('three have begun', () => begun === 3)
  const [gone, last] = [open(), open()]
  expect(last.connecting).toBe(true)
  last.write('hello')
  gone.destroy()
  waiting[0]?.write(LET_IN)
  await eventually('the last one has begun, and said it', () => received.includes('hello'))
  expect(begun).toBe(4)
  for (const socket of [...first, last]) socket.destroy()
})

test('connections that nobody answers hold the next ones up for a second at most', async () => {
  const sockets = Array.from({ length: 6 }, open)
  await eventually('all have begun', () => begun === 6)
  expect(waiting).toHaveLength(6)
  for (const socket of sockets) socket.destroy()
})
