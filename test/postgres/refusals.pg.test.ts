import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import type { Readable } from 'node:stream'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Knex } from 'knex'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type ConnectionTarget, onRefusal, type Refusal, sqlstateOf } from '../../src/postgres/index.ts'
import { fromPackages } from '../helpers/packages.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

const NAME = `full_${randomBytes(4).toString('hex')}`
const plainConnect = net.Socket.prototype.connect

let world: World
let target: ConnectionTarget
let holder: pg.Client
const ends: (() => unknown)[] = []

beforeAll(async () => {
  world = await World.create()
  await world.session.query(`create database ${NAME} connection limit 1`)
  target = { ...world.admin, user: world.role.user, password: world.role.password, database: NAME }
  holder = new pg.Client(target as pg.ClientConfig)
  await holder.connect()
})
afterAll(async () => {
  await holder.end()
  await world.session.query(`drop database ${NAME} with (force)`)
  await world.close()
})
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
  expect(net.Socket.prototype.connect).toBe(plainConnect)
})

function note(heard: Refusal[], refusal: Refusal): undefined {
  heard.push(refusal)
}

/** Listens until the test ends. */
function listen(address: { host: string; port: number } = target): Refusal[] {
  const heard: Refusal[] = []
  ends.push(onRefusal(address, (refusal) => note(heard, refusal)))
  return heard
}

async function refusedClient(to: ConnectionTarget = target): Promise<pg.Client> {
  const client = new pg.Client(to as pg.ClientConfig)
  expect(sqlstateOf(await errorOf(client.connect()))).toBe('53300')
  return client
}

const streamOf = (client: pg.Client): net.Socket =>
  (client as unknown as { connection: { stream: net.Socket } }).connection.stream
const isWatched = (socket: net.Socket): boolean => Object.hasOwn(socket, 'emit')

/** A server for one test. */
async function serve(onConnection: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    ends.push(() => socket.destroy())
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const REFUSED = message('E', Buffer.from('SFATAL\0C53300\0Msorry, too many clients already\0RProcArrayAdd\0\0'))
const LET_IN = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('S', Buffer.from('a\0b\0')),
  message('Z', Buffer.from('I')),
])

const QUIET = { warn: () => undefined, error: () => undefined }

test.each<[string, () => Promise<unknown>]>([
  ['a client of pg', () => refusedClient()],
  [
    'a pool of pg',
    async () => {
      const pool = new pg.Pool(target as pg.PoolConfig)
      await errorOf(pool.query('select 1'))
      await pool.end()
    },
  ],
  [
    'postgres.js',
    async () => {
      const sql = postgres({ ...target, username: target.user, password: target.password ?? '', ssl: false } as never)
      expect(sqlstateOf(await errorOf(sql`select 1`))).toBe('53300')
      await sql.end()
    },
  ],
  [
    'postgres.js, whose wish for TLS the server does not grant',
    async () => {
      const sql = postgres({
        ...target,
        username: target.user,
        password: target.password ?? '',
        ssl: 'prefer',
      } as never)
      expect(sqlstateOf(await errorOf(sql`select 1`))).toBe('53300')
      await sql.end()
    },
  ],
  [
    'Knex',
    async () => {
      const create = fromPackages('knex') as (config: Knex.Config) => Knex
      const knex = create({
        client: 'pg',
        connection: target as Knex.PgConnectionConfig,
        pool: { min: 0, max: 1 },
        log: QUIET,
      })
      expect(sqlstateOf(await errorOf(knex.raw('select 1').then()))).toBe('53300')
      await knex.destroy()
    },
  ],
])('%s: a refusal is heard once, with what the server says', async (_driver, connect) => {
  const heard = listen()
  await connect()
  expect(heard).toEqual([
    { sqlstate: '53300', message: `too many connections for database "${NAME}"`, routine: 'CheckMyDatabase' },
  ])
})

test('over a Unix socket, too', async () => {
  const { rows } = await world.session.query<{ folder: string }>(
    `select current_setting('unix_socket_directories') as folder`,
  )
  const host = rows[0]?.folder ?? ''
  const heard = listen({ host, port: target.port })
  await refusedClient({ ...target, host })
  expect(heard).toHaveLength(1)
})

test('only connections to the address are looked at', async () => {
  const elsewhere = await serve((socket) => void socket.write(REFUSED))
  const heard = listen()
  const socket = net.connect(elsewhere, '127.0.0.1')
  expect(isWatched(socket)).toBe(false)
  await once(socket, 'data')
  socket.destroy()
  expect(heard).toEqual([])
  await refusedClient({ ...target, host: 'localhost' })
  expect(heard).toHaveLength(1)
})

test.each<[string, (port: number) => net.Socket]>([
  ['connect(port, host)', (port) => net.connect(port, '127.0.0.1')],
  ['connect(port) of this machine', (port) => net.connect(port)],
  ['connect({ port, host })', (port) => net.connect({ port, host: 'localhost', family: 4 })],
  [
    'a port as text',
    (port) => new net.Socket().connect({ port: String(port) as unknown as number, host: '127.0.0.1' }),
  ],
  ['socket.connect(port, host, callback)', (port) => new net.Socket().connect(port, '127.0.0.1', () => undefined)],
])('%s is understood', async (_form, connect) => {
  const port = await serve((socket) => void socket.write(REFUSED))
  const heard = listen({ host: '127.0.0.1', port })
  const socket = connect(port)
  socket.resume()
  await eventually('it is heard', () => heard.length === 1)
  expect(heard[0]?.message).toBe('sorry, too many clients already')
  socket.destroy()
})

test.each([1, 3, 7])('an answer in pieces of %i bytes is put together', async (size) => {
  const port = await serve((socket) => {
    const upstream = net.connect(target.port, target.host)
    ends.push(() => upstream.destroy())
    socket.pipe(upstream).on('error', () => undefined)
    socket.setNoDelay(true)
    let sent = Promise.resolve()
    upstream.on('data', (chunk) => {
      sent = sent.then(async () => {
        for (let at = 0; at < chunk.length; at += size) {
          socket.write(chunk.subarray(at, at + size))
          await new Promise((resolve) => setImmediate(resolve))
        }
      })
    })
    upstream.on('end', () => void sent.then(() => socket.end()))
  })
  const heard = listen({ host: '127.0.0.1', port })
  await refusedClient({ ...target, port })
  expect(heard.map(({ sqlstate }) => sqlstate)).toEqual(['53300'])
})

test('a refusal for another reason is none', async () => {
  const heard = listen()
  expect(
    sqlstateOf(await errorOf(new pg.Client({ ...target, database: 'nowhere' } as pg.ClientConfig).connect())),
  ).toBe('3D000')
  expect(heard).toEqual([])
})

test('a connection that is let in is left alone from then on', async () => {
  const heard = listen()
  const client = new pg.Client(world.admin as pg.ClientConfig)
  const connecting = client.connect()
  expect(isWatched(streamOf(client))).toBe(true)
  await connecting
  expect(isWatched(streamOf(client))).toBe(false)
  const { rows } = await client.query<{ n: number; text: string }>(
    `select n, repeat(md5(n::text), 100) as text from generate_series(1, 5000) n`,
  )
  const md5 = (text: string): string => createHash('md5').update(text).digest('hex')
  expect(rows.every(({ n, text }) => text === md5(String(n)).repeat(100))).toBe(true)
  expect(rows).toHaveLength(5000)
  // What an error of a statement looks like is what a refusal looks like.
  await errorOf(client.query(`do $$ begin raise exception 'x' using errcode = '53300'; end $$`))
  expect(heard).toEqual([])
  await client.end()
})

const READERS: [string, (socket: Readable, sink: Writable) => Promise<unknown>][] = [
  [
    'data',
    (socket, sink) => {
      socket.on('data', (chunk) => void sink.write(chunk))
      return once(socket, 'end')
    },
  ],
  [
    'readable',
    (socket, sink) => {
      socket.on('readable', () => {
        for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) sink.write(chunk)
      })
      return once(socket, 'end')
    },
  ],
  ['a pipe', (socket, sink) => pipeline(socket, sink)],
]
test.each(READERS)(
  'every byte arrives at who reads by %s, and a socket that nobody reads does not flow',
  async (_by, read) => {
    const bytes = Buffer.concat([LET_IN, randomBytes(3_000_000)])
    const port = await serve((socket) => void socket.end(bytes))
    listen({ host: '127.0.0.1', port })
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    await new Promise((resolve) => setImmediate(resolve))
    expect(socket.readableFlowing).toBe(null)
    const received: Buffer[] = []
    const sink = new Writable({
      write(chunk, _encoding, done) {
        received.push(chunk)
        done()
      },
    })
    await within('the end', read(socket, sink))
    expect(Buffer.concat(received).equals(bytes)).toBe(true)
    expect(isWatched(socket)).toBe(false)
  },
)

test.each<[string, Buffer]>([
  ['no Postgres', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['a yes to TLS', Buffer.from('S')],
  ['a yes to Kerberos', Buffer.from('G')],
  ['a message without an end', Buffer.from([0x52, 0x7f, 0xff, 0xff, 0xff])],
])('%s is not looked at further', async (_what, answer) => {
  const port = await serve((socket) => void socket.write(answer))
  const heard = listen({ host: '127.0.0.1', port })
  const socket = net.connect(port, '127.0.0.1')
  expect(isWatched(socket)).toBe(true)
  await within('the answer', once(socket, 'data'))
  expect(isWatched(socket)).toBe(false)
  socket.destroy()
  expect(heard).toEqual([])
})

test.each<[string, Buffer | undefined]>([
  ['nothing', undefined],
  ['half of a refusal', REFUSED.subarray(0, 20)],
])('a server that answers %s and is gone leaves nothing on the socket', async (_what, answer) => {
  const port = await serve((socket) => void (answer ? socket.end(answer) : socket.destroy()))
  const heard = listen({ host: '127.0.0.1', port })
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  await within('it is closed', once(socket, 'close'))
  expect(isWatched(socket)).toBe(false)
  expect(heard).toEqual([])
})

test('a connection that its client gives up is no refusal', async () => {
  const port = await serve(() => undefined)
  const heard = listen({ host: '127.0.0.1', port })
  const client = new pg.Client({ ...target, port, connectionTimeoutMillis: 50 } as pg.ClientConfig)
  expect((await errorOf(client.connect())).message).toContain('timeout')
  await eventually('nothing is left on it', () => !isWatched(streamOf(client)))
  expect(heard).toEqual([])
})

test('a notice before the refusal, and a "no" that comes with the next answer, are told apart', async () => {
  const notice = message('N', Buffer.from('SWARNING\0C01000\0Mx\0\0'))
  for (const answer of [Buffer.concat([notice, REFUSED]), Buffer.concat([Buffer.from('N'), REFUSED])]) {
    const port = await serve((socket) => void socket.write(answer))
    const heard = listen({ host: '127.0.0.1', port })
    const socket = net.connect(port, '127.0.0.1')
    socket.resume()
    await eventually('it is heard', () => heard.length === 1)
    socket.destroy()
  }
})

test('a listener that throws is not the problem of who connects', async () => {
  ends.push(
    onRefusal(target, () => {
      throw new Error('bug')
    }),
  )
  const client = await refusedClient()
  expect(isWatched(streamOf(client))).toBe(false)
})

test('who is refused learns it when the listener is through, in the order in which it came', async () => {
  let goOn = (): void => undefined
  const waiting = new Promise<void>((resolve) => {
    goOn = resolve
  })
  ends.push(onRefusal(target, () => waiting))
  const client = new pg.Client(target as pg.ClientConfig)
  const told: string[] = []
  const connecting = errorOf(client.connect()).then((error) => void told.push(String(sqlstateOf(error))))
  const stream = streamOf(client)
  for (const event of ['data', 'end', 'close']) stream.on(event, () => void told.push(event))
  await eventually('the server has closed it', () => stream.destroyed || stream.readableEnded)
  expect(told).toEqual([])
  goOn()
  await connecting
  await eventually('it is closed', () => told.includes('close'))
  expect(told.filter((one) => one !== '53300')).toEqual(['data', 'end', 'close'])
  expect(isWatched(stream)).toBe(false)
})

test.each([
  ['never comes to an end', () => new Promise<void>(() => undefined)],
  ['fails', () => Promise.reject(new Error('bug'))],
])('a listener that %s does not keep the news back for ever', async (_what, listener) => {
  ends.push(onRefusal(target, listener))
  const client = await within('the error', refusedClient(), 10_000)
  expect(isWatched(streamOf(client))).toBe(false)
})

test('the last listener is the one, and only its end takes the watch away', async () => {
  const first: Refusal[] = []
  const second: Refusal[] = []
  const endFirst = onRefusal(target, (one) => note(first, one))
  const wrapped = net.Socket.prototype.connect
  const endSecond = onRefusal(target, (one) => note(second, one))
  expect(net.Socket.prototype.connect).toBe(wrapped)
  endFirst()
  await refusedClient()
  expect([first.length, second.length]).toEqual([0, 1])
  endSecond()
  expect(net.Socket.prototype.connect).toBe(plainConnect)
  await refusedClient()
  expect(second).toHaveLength(1)
})

test('what somebody else puts around it stays, and it is not wrapped twice', async () => {
  const end = onRefusal(target, () => undefined)
  const ours = net.Socket.prototype.connect
  const theirs = function (this: net.Socket, ...args: Parameters<typeof ours>): net.Socket {
    return ours.apply(this, args)
  }
  net.Socket.prototype.connect = theirs as typeof ours
  end()
  expect(net.Socket.prototype.connect).toBe(theirs)
  const heard: Refusal[] = []
  const endAgain = onRefusal(target, (one) => note(heard, one))
  expect(net.Socket.prototype.connect).toBe(theirs)
  await refusedClient()
  expect(heard).toHaveLength(1)
  net.Socket.prototype.connect = ours
  endAgain()
})
