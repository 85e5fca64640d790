import { afterAll, beforeAll, expect, test } from 'vitest'
import { ensureRegistry, ensureRole } from '../../src/coordination/index.ts'
import { Session, withSession } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'

// Roles belong to the whole server: one of its own, which asks for passwords.
let server: PrivatePostgres
let session: Session
beforeAll(async () => {
  server = await startPrivatePostgres({ password: 'first' })
  session = await Session.open(server.admin, { applicationName: 'test' })
  await ensureRegistry(session)
})
afterAll(async () => {
  await session?.close()
  await server?.stop()
})

const connect = (user: string, password: string | undefined): Promise<unknown> =>
  withSession({ ...server.admin, user, password }, { applicationName: 'test' }, (it) => it.query('select 1'))

test('many processes in several databases make one role, and it can connect', async () => {
  await session.query('create database other')
  const targets = Array.from({ length: 12 }, (_, i) => ({ ...server.admin, database: i % 2 ? 'other' : 'postgres' }))
  const sessions = await Promise.all(targets.map((target) => Session.open(target, { applicationName: 'test' })))
  const roles = await Promise.all(sessions.map((one) => ensureRole(one, false)))
  await Promise.all(sessions.map((one) => one.close()))
  expect(new Set(roles.map((role) => JSON.stringify(role))).size).toBe(1)
  expect(roles[0]).toMatchObject({ user: 'testdb', superuser: false })
  expect(roles[0]?.password).toMatch(/^[0-9a-f]{32}$/)
  await connect('testdb', roles[0]?.password)
  const { rows } = await session.query(
    `select rolsuper, rolcreatedb, rolcreaterole, rolcanlogin from pg_roles where rolname = 'testdb'`,
  )
  expect(rows).toEqual([{ rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolcanlogin: true }])
})

test('when the password of the admin changes, that of the role does too', async () => {
  const before = await ensureRole(session, false)
  await session.query(`alter role postgres password 'second'`)
  const target = { ...server.admin, password: 'second' }
  const after = await withSession(target, { applicationName: 'test' }, (one) => ensureRole(one, false))
  await session.query(`alter role postgres password 'first'`)
  expect(after.password).not.toBe(before.password)
  await connect('testdb', after.password)
  await expect(connect('testdb', before.password)).rejects.toMatchObject({ code: '28P01' })
  await ensureRole(session, false)
  await connect('testdb', before.password)
})

test('nothing is written when the role is as it should be', async () => {
  await ensureRole(session, false)
  const xmin = async (): Promise<unknown> =>
    (await session.query(`select xmin::text from pg_authid where rolname = 'testdb'`)).rows
  const before = await xmin()
  await ensureRole(session, false)
  expect(await xmin()).toEqual(before)
})

test('who asks for a superuser gets the admin', async () => {
  expect(await ensureRole(session, true)).toEqual({ user: 'postgres', password: 'first', superuser: true })
})

test('an admin that is no superuser is the role itself', async () => {
  await session.query(`create role plain login createdb password 'p'`)
  const target = { ...server.admin, user: 'plain', password: 'p' }
  const role = await withSession(target, { applicationName: 'test' }, (one) => ensureRole(one, false))
  expect(role).toEqual({ user: 'plain', password: 'p', superuser: false })
})

test('what the catalog shows of the password does not give it away', async () => {
  const role = await ensureRole(session, false)
  const { rows } = await session.query<{ note: string }>(
    `select shobj_description(oid, 'pg_authid') as note from pg_roles where rolname = 'testdb'`,
  )
  expect(rows[0]?.note).toMatch(/^testdb [0-9a-f]{16}$/)
  expect(role.password).not.toContain(rows[0]?.note.slice(7))
})
