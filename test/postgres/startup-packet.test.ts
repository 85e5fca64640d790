/** The first bytes of a connection, and what they are looked at for. */
import { Buffer } from 'node:buffer'
import { expect, test } from 'vitest'
import { placeOf } from '../../src/postgres/made-at.ts'
import { outsideObjectsIn } from '../../src/postgres/outside-objects.ts'
import { onFirstWrite, readStartup } from '../../src/postgres/startup-packet.ts'

const packet = (code: number, text = ''): Buffer => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length, 0)
  head.writeUInt32BE(code, 4)
  return Buffer.concat([head, body])
}

test('a start-up packet names user and database, which is called like the user if it is not said', () => {
  const full = packet(196_608, 'user\0app\0database\0shop\0application_name\0api\0\0')
  expect(readStartup(full)).toEqual({ user: 'app', database: 'shop' })
  expect(readStartup(new Uint8Array(full))).toEqual({ user: 'app', database: 'shop' })
  expect(readStartup(packet(196_610, 'user\0app\0\0'))).toEqual({ user: 'app', database: 'app' })
})

test('a request for encryption is one of Postgres, too', () => {
  for (const code of [80_877_103, 80_877_104]) {
    expect(readStartup(packet(code))).toEqual({ user: undefined, database: undefined })
  }
})

test('what others send is not', () => {
  const http = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const cut = packet(196_608, 'user\0app\0\0').subarray(0, 10)
  for (const chunk of [http, cut, Buffer.alloc(3), packet(131_072), 'a text of more than 8', undefined]) {
    expect(readStartup(chunk)).toBeUndefined()
  }
})

test('a socket is looked at once, and is as it was', () => {
  class Socket {
    readonly written: unknown[] = []
    write(chunk: unknown): boolean {
      return this.written.push(chunk) > 0
    }
  }
  const socket = new Socket()
  const seen: unknown[] = []
  onFirstWrite(socket, (chunk) => void seen.push(chunk))
  expect(socket.write('one')).toBe(true)
  socket.write('two')
  expect(seen).toEqual(['one'])
  expect(socket.written).toEqual(['one', 'two'])
  expect(Object.hasOwn(socket, 'write')).toBe(false)
})

test('what a text makes outside of the database', () => {
  expect(outsideObjectsIn('select 1; CREATE ROLE Reader; create user "O""Neil" login')).toEqual([
    { kind: 'role', name: 'reader' },
    { kind: 'role', name: 'O"Neil' },
  ])
  expect(outsideObjectsIn('create database shop')).toEqual([{ kind: 'database', name: 'shop' }])
  expect(outsideObjectsIn('create table role (id int)')).toEqual([])
})

test('the place is the first frame of the users code', () => {
  const error = new Error('made')
  error.stack = [
    'Error: made',
    `    at stackHere (${process.cwd()}/src/postgres/pool-watch.ts:1:2)`,
    `    at new Pool (${process.cwd()}/node_modules/pg-pool/index.js:80:1)`,
    `    at create (file://${process.cwd()}/app/db.ts:5:10)`,
    `    at async ${process.cwd()}/app/main.ts:9:1`,
  ].join('\n')
  expect(placeOf(error)).toBe('app/db.ts:5')
  error.stack = error.stack.split('\n').slice(0, 3).join('\n')
  expect(placeOf(error)).toBeUndefined()
})
