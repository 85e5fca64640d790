import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, formatUrl } from '../../src/postgres/index.ts'
import type { Server } from '../../src/server/server.ts'
import { connectUrl } from '../../src/server/url.ts'
import { type Lab, openLab, withAdmin } from '../helpers/embedded.ts'
import { binaries } from '../helpers/packages.ts'

let lab: Lab
let server: Server

beforeAll(async () => {
  lab = await openLab()
  server = await lab.module.startEmbedded(lab.options())
  await withAdmin(server, (session) =>
    createDatabase(session, 'shop_test', { template: 'template0', owner: 'postgres' }),
  )
})
afterAll(() => lab.close())

test('a server by its URL: its own database is where testdb coordinates', async () => {
  const url = formatUrl({ ...server.admin, ...server.address, database: 'shop_test' })
  const byUrl = await connectUrl({ url })
  expect(byUrl).toMatchObject({
    kind: 'url',
    ours: false,
    major: binaries.major,
    admin: { database: 'shop_test', user: 'postgres' },
    address: { host: '127.0.0.1', port: server.address.port },
  })
  expect(byUrl.summary).toBe(`PostgreSQL ${binaries.version} at postgres@127.0.0.1:${server.address.port}/shop_test`)
})

test('connecting leaves no session and nothing in the database', async () => {
  const url = formatUrl({ ...server.admin, database: 'shop_test' })
  await connectUrl({ url })
  const { rows } = await withAdmin({ ...server, admin: { ...server.admin, database: 'shop_test' } }, (session) =>
    session.query(`select count(*)::int as made from pg_class where oid >= 16384`),
  )
  expect(rows).toEqual([{ made: 0 }])
})

test.each([
  { what: 'a wrong password', change: { password: 'wrong-one' }, state: '28P01' },
  { what: 'a missing database', change: { database: 'gone_test' }, state: '3D000' },
])('$what says whom and where, and keeps the cause', async ({ change, state }) => {
  const target = { ...server.admin, ...server.address, database: 'shop_test', ...change }
  const failure = await connectUrl({ url: formatUrl(target) }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE', cause: { code: state } })
  expect(String(failure)).toContain(`postgres@127.0.0.1:${server.address.port}/${target.database}`)
  expect(String(failure)).not.toContain(target.password)
})
