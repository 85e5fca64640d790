/** A burst of connections, on a server of the test's own that counts who has begun and who was answered. */
import { createServer, type Server, Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { onRefusal } from '../../src/postgres/index.ts'
import { eventually, within } from '../helpers/wait.ts'

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

/** One that speaks as soon as it can, as clients of Postgres do. */
function open(): Socket {
  const socket = silent()
  socket.write('hello')
  return socket
}

function silent(): Socket {
  const socket = new Socket()
  socket.on('error', () => undefined)
  // As a driver it reads what it is told.
  socket.resume()
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

test('what is written and ended before its turn arrives; who has given up is passed over', async () => {
  const first = [open(), open(), open()]
  await eventually('three have begun', () => begun === 3)
  const [gone, last] = [open(), silent()]
  last.write('a question')
  last.end(' and its end')
  const closed = new Promise((resolve) => last.on('close', resolve))
  gone.destroy()
  waiting[0]?.write(LET_IN)
  await eventually('the last one has begun, and said it', () => received.join('').includes('a question and its end'))
  expect(begun).toBe(4)
  // The other side has heard the end and ends, too.
  waiting[3]?.end()
  await within('it is closed', closed)
  for (const socket of first) socket.destroy()
})

test('who has nothing to say holds nobody up', async () => {
  const sockets = Array.from({ length: 30 }, silent)
  const speaking = open()
  await eventually('all have begun', () => begun === 31, 900)
  for (const socket of [...sockets, speaking]) socket.destroy()
})

test('those who speak and are not answered hold the next ones up for a second at most', async () => {
  const sockets = Array.from({ length: 6 }, open)
  await eventually('all have begun', () => begun === 6)
  expect(waiting).toHaveLength(6)
  for (const socket of sockets) socket.destroy()
})

test('wrong arguments are thrown to the caller, in turn or not, and cost no turn', async () => {
  const wrong = () => new Socket().connect({ port, host: '127.0.0.1', localAddress: 'nonsense' })
  expect(wrong).toThrow('Invalid IP address')
  const first = [open(), open(), open()]
  expect(wrong).toThrow('Invalid IP address')
  await eventually('three have begun', () => begun === 3)
  const last = open()
  for (let i = 0; i < 3; i++) waiting[i]?.write(LET_IN)
  await eventually('the last one has begun', () => begun === 4, 900)
  for (const socket of [...first, last]) socket.destroy()
})

test('a host name is looked up when it is its turn', async () => {
  const first = [open(), open(), open()]
  await eventually('three have begun', () => begun === 3)
  const named = new Socket()
  named.on('error', () => undefined)
  named.resume()
  named.connect({ port, host: 'localhost', family: 4 })
  waiting[0]?.write(LET_IN)
  await eventually('it has begun', () => begun === 4)
  for (const socket of [...first, named]) socket.destroy()
})
