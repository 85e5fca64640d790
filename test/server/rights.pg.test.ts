/** Roles that lack a right: an error with what to type before anything is written, or one line and something in its place. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lockHolders } from '../../src/migrators/lock-table.ts'
import { type ConnectionTarget, endSessions, formatUrl, Session, withSession } from '../../src/postgres/index.ts'
import { measureCapabilities } from '../../src/server/capabilities.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { collect, errorOf, eventually } from '../helpers/wait.ts'
import { execute } from '../helpers/world.ts'
import { runOn } from './by-url.ts'

let server: PrivatePostgres
beforeAll(async () => {
  server = await startPrivatePostgres()
  await execute(server.admin, 'create role creator login createdb')
  await execute(server.admin, 'create role plain login')
})
afterAll(() => server?.stop())

/** A database of that name, and how the role reaches it. */
async function database(name: string, user: string, owner = user): Promise<ConnectionTarget> {
  await execute(server.admin, `create database ${name} template template0 owner ${owner}`)
  return { ...server.admin, user, database: name }
}

const hasRegistry = (name: string): Promise<boolean> =>
  withSession({ ...server.admin, database: name }, { applicationName: 'test' }, async (session) => {
    const { rowCount } = await session.query(`select from pg_namespace where nspname = 'testdb'`)
    return rowCount === 1
  })

test('without CREATE on the database of the URL: says what to grant, and to whom', async () => {
  const target = await database('closed_test', 'creator', 'postgres')
  const failure = await errorOf(runOn(formatUrl(target)))
  expect(failure).toMatchObject({ code: 'TESTDB_RIGHTS_MISSING', details: { right: 'registry', user: 'creator' } })
  expect(failure.message).toContain('GRANT CREATE ON DATABASE "closed_test" TO "creator"')
  await execute(server.admin, 'grant create on database closed_test to creator')
  await runOn(formatUrl(target))
})

test('the registry of another role: says whose it is', async () => {
  const target = await database('taken_test', 'creator', 'postgres')
  await runOn(formatUrl({ ...target, user: 'postgres' }))
  await execute(server.admin, 'grant create on database taken_test to creator')
  const failure = await errorOf(runOn(formatUrl(target)))
  expect(failure).toMatchObject({ code: 'TESTDB_RIGHTS_MISSING', details: { right: 'registry' } })
  expect(failure.message).toContain('belongs to "postgres"')
})

test('a superuser is asked for where there is none', async () => {
  const target = await database('humble_test', 'creator')
  const failure = await errorOf(runOn(formatUrl(target), undefined, { role: { superuser: true } }))
  expect(failure).toMatchObject({ code: 'TESTDB_RIGHTS_MISSING', details: { right: 'superuser' } })
  expect(await hasRegistry('humble_test')).toBe(false)
})

test('`rows` becomes `truncate`, which is said in one line; asked for `truncate`, nothing is said', async () => {
  const target = await database('lines_test', 'creator')
  using warned = collect('warning.raised')
  const content: unknown[] = []
  const use = (reset: 'rows' | 'truncate') =>
    runOn(
      formatUrl(target),
      async (db) => {
        await db.query(`insert into items (name) values ('left')`)
        await db.reset()
        content.push(...(await db.query('select * from items')).rows)
      },
      { reset },
    )
  await use('rows')
  expect(warned.events.map(({ message }) => message)).toEqual([
    `reset: 'rows' needs a superuser and "creator" is none, so databases are put back by 'truncate'; set reset: 'truncate' to silence this`,
  ])
  await use('truncate')
  expect(warned.events).toHaveLength(1)
  expect(content).toEqual([])
})

test('extensions: a trusted one works without a superuser, another one is refused with its name and what to do', async () => {
  const target = await database('extended_test', 'creator')
  await runOn(
    formatUrl(target),
    async (db) => {
      expect((await db.query(`select 'A'::citext = 'a' as same`)).rows).toEqual([{ same: true }])
    },
    { extensions: ['citext'] },
  )
  const failure = await errorOf(runOn(formatUrl(target), undefined, { extensions: ['citext', 'dblink'] }))
  expect(failure).toMatchObject({
    code: 'TESTDB_RIGHTS_MISSING',
    details: { right: 'extension', extension: 'dblink', user: 'creator' },
  })
  expect(failure.message).toMatch(
    /1\. .*superuser[\s\S]*2\. .*trusted[\s\S]*3\. Remove "dblink"|3\. Or remove "dblink"/,
  )
})

test('sessions that the role may not end are waited for; those that stay are named', async () => {
  const target = await database('busy_test', 'creator')
  await using session = await Session.open({ ...target, database: 'postgres' }, { applicationName: 'test' })
  const foreign = await Session.open({ ...target, user: 'postgres' }, { applicationName: 'psql of somebody' })
  const own = await Session.open(target, { applicationName: 'test' })

  const failure = await errorOf(endSessions(session, 'busy_test'))
  expect(failure).toMatchObject({
    code: 'TESTDB_DATABASE_IN_USE',
    details: { pids: [foreign.backendPid], refused: 1 },
  })
  expect(failure.message).toContain('psql of somebody')
  expect(failure.message).toContain('creator may not end 1 of them')
  // Its own one was ended all the same.
  expect(own.lost.aborted).toBe(true)

  const waiting = endSessions(session, 'busy_test')
  await using admin = await Session.open(server.admin, { applicationName: 'test' })
  await eventually('it waits', async () => {
    const { rows } = await admin.query<{ query: string }>('select query from pg_stat_activity where pid = $1', [
      session.backendPid,
    ])
    return /unnest|pg_sleep/.test(rows[0]?.query ?? '')
  })
  await foreign.close()
  expect(await waiting).toBe(1)
}, 60_000)

test('a session that the role may not look into could hold a migration lock', async () => {
  const target = await database('locked_test', 'plain')
  await using session = await Session.open(target, { applicationName: 'test' })
  await using foreign = await Session.open({ ...target, user: 'postgres' }, { applicationName: 'knex of somebody' })
  expect(await lockHolders(session)).toMatchObject([{ pid: foreign.backendPid, applicationName: 'knex of somebody' }])
})

test('where no session may be ended, a pool that a test left open is waited for and named', async () => {
  const target = await database('managed_test', 'creator')
  const revoke = 'revoke execute on function pg_terminate_backend(int, bigint) from public'
  await execute({ ...server.admin, database: 'managed_test' }, revoke)
  await using own = await Session.open(target, { applicationName: 'a pool that was left open' })
  await using session = await Session.open(target, { applicationName: 'test' })
  expect(await measureCapabilities(session)).toMatchObject({ endSessions: 'none' })
  const failure = await errorOf(endSessions(session, 'managed_test'))
  expect(failure).toMatchObject({ code: 'TESTDB_DATABASE_IN_USE', details: { pids: [own.backendPid], refused: 1 } })
  expect(failure.message).toContain('a pool that was left open')
  expect(own.lost.aborted).toBe(false)
}, 60_000)
