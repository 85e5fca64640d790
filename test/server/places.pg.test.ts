/** Each way to write where a server is: what testdb reads, its tests' drivers are told in a way that leads to the same place. */
import { chmodSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Database } from '../../src/databases/database.ts'
import { parseUrl } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { errorOf } from '../helpers/wait.ts'
import { execute } from '../helpers/world.ts'
import { runOn } from './by-url.ts'

const PASSWORD = 'p@ss:w/rd %#?&=é+'
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
if (!hasIpv6) process.stderr.write('\n*** SKIPPED: this machine has no ::1 ***\n\n')

let server: PrivatePostgres
let port: number
beforeAll(async () => {
  server = await startPrivatePostgres({
    password: PASSWORD,
    tls: true,
    settings: hasIpv6 ? { listen_addresses: '127.0.0.1,::1' } : {},
    // Who is refused without TLS has to use it.
    hba: ['hostnossl all safe 127.0.0.1/32 reject'],
  })
  port = server.admin.port
  await execute(server.admin, 'create database app_test template template0')
  await execute(server.admin, `create role safe superuser login password 'secret'`)
  chmodSync(server.home, 0o755)
})
afterAll(() => server?.stop())
afterEach(() => vi.unstubAllEnvs())

/** Works through `db.pool` and through what a driver makes of the URL; tells how both are connected. */
async function connectedBy(
  url: string,
): Promise<{ readonly ssl: boolean; readonly address: string | null; readonly url: string }> {
  let found = { ssl: false, address: '' as string | null, url: '' }
  const look = `select ssl, host(inet_server_addr()) as address from pg_stat_ssl where pid = pg_backend_pid()`
  await runOn(url, async (db: Database) => {
    const client = new pg.Client({ connectionString: db.url })
    await client.connect()
    const { rows } = await client.query(look)
    await client.end()
    expect((await db.query(look)).rows).toEqual(rows)
    await db.query(`insert into items (name) values ('left')`)
    await db.reset()
    found = { ...rows[0], url: db.url }
  })
  return found
}

describe('TLS', () => {
  const safe = (query: string): string => `postgres://safe:secret@127.0.0.1:${port}/app_test${query}`

  test('sslmode=no-verify, and verify-full with the root certificate of the URL', async () => {
    expect(await connectedBy(safe('?sslmode=no-verify'))).toMatchObject({ ssl: true })
    const rootCertificate = encodeURIComponent(join(server.home, 'server.crt'))
    const verified = await connectedBy(safe(`?sslmode=verify-full&sslrootcert=${rootCertificate}`))
    expect(verified).toMatchObject({ ssl: true })
    expect(verified.url).toContain(`sslrootcert=${rootCertificate}`)
    expect(verified.url).toContain('sslmode=verify-full')
    expect(await connectedBy(safe(`?sslmode=require&sslrootcert=${rootCertificate}`))).toMatchObject({ ssl: true })
    expect(await connectedBy(safe('?sslmode=require&uselibpqcompat=true'))).toMatchObject({ ssl: true })
  }, 120_000)

  test('a certificate that nobody vouches for, or no TLS where it is asked for, is an error that says so', async () => {
    const unknown = await errorOf(runOn(safe('?sslmode=verify-full')))
    expect(unknown).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE' })
    expect(unknown.message).toContain('self-signed certificate')
    expect(unknown.message).toContain('sslrootcert')
    const plain = await errorOf(runOn(safe('')))
    expect(plain).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE' })
    expect(plain.message).toMatch(/no encryption|pg_hba/)
  })
})

test('a password of characters that have to be encoded', async () => {
  const url = `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/app_test`
  expect(parseUrl(url).password).toBe(PASSWORD)
  await connectedBy(url)
})

test('a password file: its line for the one database is enough', async () => {
  const file = join(server.home, 'passwords')
  const escaped = PASSWORD.replace(/[:\\]/g, '\\$&')
  writeFileSync(file, `127.0.0.1:${port}:app_test:postgres:${escaped}\n`, { mode: 0o600 })
  vi.stubEnv('PGPASSFILE', file)
  const { url } = await connectedBy(`postgres://postgres@127.0.0.1:${port}/app_test`)
  expect(parseUrl(url).password).toMatch(/^[0-9a-f]{32}$/)
  vi.stubEnv('PGPASSFILE', '')
  const wrong = await errorOf(runOn(`postgres://postgres@127.0.0.1:${port}/app_test`))
  expect(wrong).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE' })
})

test('a Unix socket', async () => {
  const folder = encodeURIComponent(server.home)
  const auth = `postgres:${encodeURIComponent(PASSWORD)}`
  for (const url of [
    `postgres://${auth}@/app_test?host=${folder}&port=${port}`,
    `postgres://${auth}@${folder}:${port}/app_test`,
  ]) {
    expect(await connectedBy(url)).toMatchObject({ address: null, ssl: false })
  }
})

test.skipIf(!hasIpv6)('IPv6', async () => {
  const url = `postgres://postgres:${encodeURIComponent(PASSWORD)}@[::1]:${port}/app_test`
  expect(await connectedBy(url)).toMatchObject({ address: '::1' })
})

test('what else the URL says goes along to the tests', async () => {
  const { url } = await connectedBy(
    `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/app_test?schema=shop&connect_timeout=5&application_name=me&options=-c%20geqo%3Doff`,
  )
  expect(Object.fromEntries(new URL(url).searchParams)).toEqual({
    schema: 'shop',
    connect_timeout: '5',
    options: '-c geqo=off',
  })
})
