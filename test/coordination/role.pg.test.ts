import { afterAll, beforeAll, expect, test } from 'vitest'
import { ensureRegistry, ensureRole, keepOutOfRegistry } from '../../src/coordination/index.ts'
import { isPassword, Session, withSession } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { errorOf } from '../helpers/wait.ts'

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

test('a test that changes the password or the settings of the role does not harm the next run', async () => {
  const role = await ensureRole(session, false)
  for (const damage of [
    `alter role testdb password 'x'`,
    `alter role testdb set default_transaction_read_only = on`,
    `alter role testdb nologin`,
    `alter role testdb connection limit 0`,
    `alter role testdb valid until '2020-01-01'`,
    'alter role testdb noinherit bypassrls replication',
  ]) {
    await session.query(damage)
    expect(await ensureRole(session, false)).toEqual(role)
    await connect('testdb', role.password)
    const { rows } = await session.query(
      `select rolconfig, rolcanlogin, rolconnlimit, rolinherit, rolbypassrls or rolreplication as more
         from pg_roles where rolname = 'testdb'`,
    )
    const plain = { rolconfig: null, rolcanlogin: true, rolconnlimit: -1, rolinherit: true, more: false }
    expect(rows).toEqual([plain])
    const before = (await session.query(`select xmin::text from pg_authid where rolname = 'testdb'`)).rows
    await ensureRole(session, false)
    expect((await session.query(`select xmin::text from pg_authid where rolname = 'testdb'`)).rows).toEqual(before)
  }
})

test('tests are kept out of the maintenance database of a server that is ours', async () => {
  const role = await ensureRole(session, false)
  await connect('testdb', role.password)
  await keepOutOfRegistry(session, role)
  await expect(connect('testdb', role.password)).rejects.toMatchObject({ code: '42501' })
  // Being refused is no reason to think that the password is wrong.
  expect(await ensureRole(session, false)).toEqual(role)
  await session.query('grant connect on database postgres to public')
})

test("somebody else's role of that name is left as it is", async () => {
  const theirs = await startPrivatePostgres({ password: 'p' })
  try {
    await withSession(theirs.admin, { applicationName: 'test' }, async (admin) => {
      await ensureRegistry(admin)
      await admin.query(`create role testdb superuser login password 'mine'`)
      const state = async (): Promise<unknown> =>
        (await admin.query(`select xmin::text from pg_authid where rolname = 'testdb'`)).rows
      const before = await state()
      expect(await ensureRole(admin, false)).toMatchObject({ user: 'testdb_tests', superuser: false })
      expect(await state()).toEqual(before)

      // An admin of that name is nobody's test role either.
      const named = { ...theirs.admin, user: 'testdb', password: 'mine' }
      const role = await withSession(named, { applicationName: 'test' }, (one) => ensureRole(one, false))
      expect(role.user).toBe('testdb_tests')
      expect(await state()).toEqual(before)

      await admin.query('drop role testdb_tests')
      await admin.query('create role testdb_tests')
      const error = await errorOf(ensureRole(admin, false))
      expect(error).toMatchObject({ code: 'TESTDB_SERVER_UNSUPPORTED' })
      expect(error.message).toContain('testdb and testdb_tests belong to somebody else')
    })
  } finally {
    await theirs.stop()
  }
})

test('what the catalog shows of the role says nothing of its password', async () => {
  await ensureRole(session, false)
  const { rows } = await session.query<{ note: string }>(
    `select shobj_description(oid, 'pg_authid') as note from pg_roles where rolname = 'testdb'`,
  )
  expect(rows).toEqual([{ note: 'testdb: owner of the databases that test runs use' }])
})

test('a password is told from what the server keeps of it, whatever kind that is', async () => {
  const kept = async (setting: string): Promise<string | null> => {
    await session.transaction(async () => {
      await session.query(`set local ${setting}`)
      await session.query(`alter role testdb password 'right'`)
    })
    const { rows } = await session.query<{ kept: string }>(
      `select rolpassword as kept from pg_authid where rolname = 'testdb'`,
    )
    return rows[0]?.kept ?? null
  }
  await ensureRole(session, false)
  for (const setting of ["password_encryption = 'scram-sha-256'", "password_encryption = 'md5'"]) {
    const verifier = await kept(setting)
    expect(await isPassword(verifier, 'testdb', 'right')).toBe(true)
    expect(await isPassword(verifier, 'testdb', 'wrong')).toBe(false)
  }
  expect(await isPassword(null, 'testdb', '')).toBe(false)
  expect(await isPassword('argon2$1$x', 'testdb', 'right')).toBe(false)
})

test('a role that is as it should be is not logged in as', async () => {
  await ensureRole(session, false)
  const count = async (): Promise<unknown> => {
    await session.query('select pg_stat_clear_snapshot()')
    return (await session.query(`select sum(sessions)::int from pg_stat_database`)).rows
  }
  const before = await count()
  await ensureRole(session, false)
  // Its own sessions are told to the statistics only at their end, so that of a login would show.
  expect(await count()).toEqual(before)
})

test('where nobody is asked for a password, it is not changed under others who have another one', async () => {
  const trusting = await startPrivatePostgres()
  try {
    const as = (password: string): Promise<unknown> =>
      withSession({ ...trusting.admin, password }, { applicationName: 'test' }, async (one) => {
        await ensureRegistry(one)
        await ensureRole(one, false)
        return (await one.query(`select xmin::text from pg_authid where rolname = 'testdb'`)).rows
      })
    const before = await as('first')
    expect(await as('second')).toEqual(before)
  } finally {
    await trusting.stop()
  }
})
