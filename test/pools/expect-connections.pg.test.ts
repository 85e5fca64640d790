import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import knex, { type Knex } from 'knex'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool, expectConnections, type PeakConnection } from '../../src/pools/index.ts'
import { formatUrl } from '../../src/postgres/index.ts'
import { folderOf } from '../helpers/packages.ts'
import { errorOf } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

const ROOMS = ['red', 'green', 'blue']

let world: World
let connectionString: string
let pool: pg.Pool
let db: Knex
beforeAll(async () => {
  world = await World.create()
  connectionString = formatUrl(world.admin)
  pool = createPool({ connectionString, applicationName: 'api' })
  db = knex({
    client: 'pg',
    connection: { connectionString, application_name: 'orm' },
    pool: { min: 0, max: 5 },
  })
  await pool.query('create table messages (room text, body text)')
  // Three that are idle are taken at the same moment.
  const warm = await Promise.all(ROOMS.map(() => pool.connect()))
  for (const client of warm) client.release()
})
afterAll(async () => {
  await pool.end()
  await db.destroy()
  await world.close()
})

const peakOf = async (fn: () => unknown, max = 0): Promise<readonly PeakConnection[]> => {
  const error = await errorOf(expectConnections(fn, { max }))
  expect(error.code).toBe('TESTDB_CONNECTIONS_EXCEEDED')
  return error.details?.connections as PeakConnection[]
}

test('a broadcast to three rooms takes three connections, and is named with what they do', async () => {
  const broadcast = async (body: string) =>
    await Promise.all(
      ROOMS.map(async (room) => {
        const client = await pool.connect()
        await client.query('begin')
        await client.query(`insert into messages values ($1, '${body}')`, [room])
        await client.query('commit')
        client.release()
      }),
    )
  const error = await errorOf(expectConnections(() => broadcast('hush'), { max: 1 }))
  const { database } = world.admin
  const line = `  "api" on ${database}, last statement: insert into messages values ($1, ?)`
  expect(error.message).toContain(
    ['3 connections were used at the same time, expected were 1 at most', line, line, line].join('\n'),
  )
  expect(error.message).not.toContain('hush')
  expect(error.details).toMatchObject({ max: 1, connections: { length: 3 } })
  await expectConnections(() => broadcast('hush'), { max: 3 })
})

test('the same with one statement, or one after the other, is one', async () => {
  const once = (body: string) =>
    pool.query('insert into messages select room, $2 from unnest($1::text[]) as room', [ROOMS, body])
  expect(await expectConnections(() => once('all'), { max: 1 })).toMatchObject({ rowCount: 3 })
  const oneByOne = async () => {
    for (const room of ROOMS) await pool.query('insert into messages values ($1, $2)', [room, 'one'])
    return 'done'
  }
  expect(await expectConnections(oneByOne, { max: 1 })).toBe('done')
})

test('Knex: queries at once, and a query beside a transaction', async () => {
  await expectConnections(() => db('messages').limit(1), { max: 1 })
  await expectConnections(() => db.transaction(async (trx) => await trx('messages').limit(1)), { max: 1 })
  const beside = () => db.transaction(async () => void (await db('messages').limit(1)))
  const peak = await peakOf(beside, 1)
  expect(peak.map(({ applicationName }) => applicationName)).toEqual(['orm', 'orm'])
  expect(peak.map(({ lastStatement }) => lastStatement)).toEqual(['BEGIN;', 'select * from "messages" limit $1'])
  const slow = () => db.raw('select pg_sleep(0.3)')
  expect(await peakOf(() => Promise.all([slow(), slow(), slow()]), 2)).toHaveLength(3)
})

test('a client outside of pools counts until it has ended; idle ones of a pool do not', async () => {
  const client = async () => {
    const one = new pg.Client({ connectionString, application_name: 'script' })
    await one.connect()
    await one.query('select 1')
    await one.end()
  }
  await expectConnections(
    async () => {
      await client()
      await client()
      await pool.query('select 1')
    },
    { max: 1 },
  )
  const both = await peakOf(() => Promise.all([client(), client()]), 1)
  expect(both.map(({ applicationName }) => applicationName)).toEqual(['script', 'script'])
  const ours = new pg.Client({ connectionString, application_name: 'testdb coordination' })
  await expectConnections(() => ours.connect(), { max: 0 })
  await ours.end()
  const fresh = new pg.Pool({ connectionString, max: 3 })
  await Promise.all([fresh.query('select 1'), fresh.query('select 1'), fresh.query('select 1')])
  await expectConnections(() => fresh.query('select 2'), { max: 1 })
  await expectConnections(() => fresh.end(), { max: 0 })
})

test('what was taken before does not count; what fn keeps does', async () => {
  const before = await pool.connect()
  await expectConnections(async () => await before.query('select 1'), { max: 0 })
  const kept: pg.PoolClient[] = []
  await expectConnections(async () => void kept.push(await pool.connect()), { max: 1 })
  const two = async (): Promise<void> => {
    for (let i = 0; i < 2; i++) kept.push(await pool.connect())
  }
  expect(await peakOf(two, 1)).toHaveLength(2)
  for (const client of [before, ...kept]) client.release()
})

test('what fn throws comes first; wrong arguments are told', async () => {
  const boom = new Error('boom')
  const fails = async () => {
    await Promise.all([pool.query('select 1'), pool.query('select 1')])
    throw boom
  }
  expect(await errorOf(expectConnections(fails, { max: 1 }))).toBe(boom)
  expect(await errorOf(expectConnections(() => 1, { max: -1 }))).toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
  expect(await expectConnections(() => 'no promise', { max: 0 })).toBe('no promise')
})

test('calls that run at the same time count their own; the outer one counts what the inner one takes', async () => {
  const one = () => expectConnections(() => pool.query('select pg_sleep(0.02)'), { max: 1 })
  await Promise.all(Array.from({ length: 10 }, one))
  const knexOne = () => expectConnections(() => db.raw('select pg_sleep(0.02)'), { max: 1 })
  await Promise.all(Array.from({ length: 10 }, knexOne))
  expect(await peakOf(() => Promise.all([one(), one()]), 1)).toHaveLength(2)
})

test('a server of this process that was started before counts', async () => {
  const server = createServer(async (_request, response) => {
    await Promise.all([pool.query('select pg_sleep(0.2)'), pool.query('select pg_sleep(0.2)')])
    response.end('done')
  })
  server.listen(0)
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(await peakOf(async () => await (await fetch(url)).text(), 1)).toHaveLength(2)
  server.closeAllConnections()
  server.close()
})

test('another copy of the driver counts, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'testdb-copy-'))
  try {
    for (const name of ['pg', 'pg-pool'])
      cpSync(folderOf(name), join(folder, 'node_modules', name), { recursive: true })
    for (const name of ['pg-protocol', 'pg-types', 'pg-connection-string', 'pgpass'])
      symlinkSync(folderOf(name), join(folder, 'node_modules', name))
    const copy = createRequire(join(folder, 'package.json'))('pg') as typeof pg
    expect(copy.Pool).not.toBe(pg.Pool)
    const theirs = new copy.Pool({ connectionString, application_name: 'copy' })
    const peak = await peakOf(
      () => Promise.all([theirs.query('select pg_sleep(0.3)'), pool.query('select pg_sleep(0.3)')]),
      1,
    )
    expect(peak.map(({ applicationName }) => applicationName).sort()).toEqual(['api', 'copy'])
    await theirs.end()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('connections that short queries make their pool open count, whether or not the queries overlap', async () => {
  for (const idle of [0, 1, 2]) {
    const fresh = new pg.Pool({ connectionString, max: 5 })
    try {
      const warm = await Promise.all(Array.from({ length: idle }, () => fresh.connect()))
      for (const client of warm) client.release()
      const before = fresh.totalCount
      const error = await errorOf(
        expectConnections(() => Promise.all(ROOMS.map(() => fresh.query('select 1'))), { max: 1 }),
      )
      expect(error, `${idle} idle`).toMatchObject({ code: 'TESTDB_CONNECTIONS_EXCEEDED' })
      expect(before).toBe(idle)
      // One after the other they need one.
      await expectConnections(
        async () => {
          for (const _ of ROOMS) await fresh.query('select 1')
        },
        { max: 1 },
      )
    } finally {
      await fresh.end()
    }
  }
})
