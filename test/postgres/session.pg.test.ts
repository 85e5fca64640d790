import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { Session, withSession } from '../../src/postgres/index.ts'
import { binaries } from '../helpers/packages.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve()))

const terminate = (session: Session): Promise<unknown> =>
  world.session.query('select pg_terminate_backend($1)', [session.backendPid])

test('a session that the server ends is lost, and says so ever after', async () => {
  const session = await world.open()
  await terminate(session)
  await within('the session is lost', aborted(session.lost))
  expect(session.lost.reason).toMatchObject({ code: 'TESTDB_SERVER_LOST' })
  expect(session.lost.reason.message).not.toContain('undefined')
  await expect(session.query('select 1')).rejects.toBe(session.lost.reason)
  await session.close()
})

test('a session that is closed is not lost', async () => {
  const session = await world.open()
  await session.close()
  await session.close()
  expect(session.lost.aborted).toBe(false)
})

test('a statement that runs while the session is lost is told the same', async () => {
  const session = await world.open()
  const running = errorOf(session.query('select pg_sleep(60)'))
  await terminate(session)
  const error = await within('the statement ends', running)
  expect(error.code).toBe('TESTDB_SERVER_LOST')
  expect(session.lost.aborted).toBe(true)
})

test('the very next statement after the loss is told the same', async () => {
  // The first sign of the loss comes before its end; whatever is asked in between must not see the driver's own error.
  for (let round = 0; round < 20; round++) {
    const session = await world.open()
    const codes = new Set<string | undefined>()
    await terminate(session)
    while (!session.lost.aborted)
      codes.add(
        await session.query('select 1').then(
          () => 'alive',
          (error) => error.code,
        ),
      )
    codes.delete('alive')
    expect([...codes].filter((code) => code !== 'TESTDB_SERVER_LOST')).toEqual([])
    await session.close()
  }
})

test('an ordinary error is passed on as it is, and loses nothing', async () => {
  await using session = await world.open()
  const error = await errorOf(session.query('select 1/0'))
  expect(error.code).toBe('22012')
  expect((await session.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a transaction commits what returns and rolls back what throws', async () => {
  await using session = await world.open()
  await session.query('create temp table t (n int)')
  await session.transaction(() => session.query('insert into t values (1)'))
  const failure = new Error('mine')
  const thrown = session.transaction(async () => {
    await session.query('insert into t values (2)')
    throw failure
  })
  await expect(thrown).rejects.toBe(failure)
  expect((await session.query('select n from t')).rows).toEqual([{ n: 1 }])
  // An error inside leaves no aborted transaction behind.
  await expect(session.transaction(() => session.query('select 1/0'))).rejects.toMatchObject({ code: '22012' })
  expect((await session.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('a transaction does not depend on the defaults of the database', async () => {
  await world.session.query(`alter database ${world.admin.database} set default_transaction_isolation = 'serializable'`)
  await world.session.query(`alter database ${world.admin.database} set default_transaction_read_only = on`)
  try {
    await using session = await world.open()
    const level = await session.transaction(async () => {
      await session.query('create table written (n int)')
      return (await session.query<{ level: string }>(`select current_setting('transaction_isolation') as level`))
        .rows[0]?.level
    })
    expect(level).toBe('read committed')
  } finally {
    await world.session.query(`alter database ${world.admin.database} reset all`)
  }
})

test.each(['TCP', 'a Unix socket'])(
  'a neutral session over %s is not bound by time limits and roles of the database; others are',
  async (by) => {
    const { database } = world.admin
    const { rows: places } = await world.session.query<{ folder: string }>(
      `select current_setting('unix_socket_directories') as folder`,
    )
    const target = by === 'TCP' ? world.admin : { ...world.admin, host: places[0]?.folder ?? '' }
    const limits = [
      'statement_timeout',
      'lock_timeout',
      'idle_in_transaction_session_timeout',
      'idle_session_timeout',
      ...(binaries.major >= 17 ? ['transaction_timeout'] : []),
    ]
    for (const limit of limits) await world.session.query(`alter database ${database} set ${limit} = '77s'`)
    await world.session.query(`alter database ${database} set role = ${world.role.user}`)
    await world.session.query(`alter database ${database} set default_transaction_read_only = on`)
    try {
      const read = (neutral: boolean): Promise<Record<string, unknown>[]> =>
        withSession(target, { applicationName: 'test', neutral }, async (session) => {
          const { rows } = await session.query(
            `select current_user::text as name, setting from pg_settings where name = any ($1) or name = 'default_transaction_read_only'`,
            [limits],
          )
          return rows
        })
      expect(new Set((await read(true)).map((row) => `${row.name} ${row.setting}`))).toEqual(
        new Set(['postgres 0', 'postgres off']),
      )
      expect(new Set((await read(false)).map((row) => `${row.name} ${row.setting}`))).toEqual(
        new Set(['testdb 77000', 'testdb on']),
      )
    } finally {
      await world.session.query(`set role none; alter database ${database} reset all`)
    }
  },
)

test('the server looks for dead clients', async () => {
  await using session = await world.open()
  expect((await session.query('show client_connection_check_interval')).rows).toEqual([
    { client_connection_check_interval: '250ms' },
  ])
})

test('settings and the name of the application are visible', async () => {
  const options = { applicationName: 'testdb look at me', settings: { lock_timeout: '1234', search_path: 'a, "B"' } }
  await withSession(world.admin, options, async (session) => {
    const { rows } = await session.query(
      `select application_name, current_setting('lock_timeout') as lock, current_setting('search_path') as path
         from pg_stat_activity where pid = pg_backend_pid()`,
    )
    expect(rows).toEqual([{ application_name: 'testdb look at me', lock: '1234ms', path: 'a, "B"' }])
  })
})

test('a wrong setting leaves no session behind', async () => {
  const options = { applicationName: 'testdb wrong setting', settings: { lock_timeout: 'never' } }
  await expect(Session.open(world.admin, options)).rejects.toMatchObject({ code: '22023' })
  await eventually('the session is gone', async () => {
    const { rowCount } = await world.session.query(
      `select from pg_stat_activity where application_name = 'testdb wrong setting'`,
    )
    return rowCount === 0
  })
})

test('opening throws what the driver throws', async () => {
  const missing = Session.open({ ...inject('server'), database: 'not_there' }, { applicationName: 'test' })
  await expect(missing).rejects.toMatchObject({ code: '3D000' })
  const refused = Session.open({ ...inject('server'), port: 1 }, { applicationName: 'test' })
  await expect(refused).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('notifications arrive until the listener is ended', async () => {
  await using session = await world.open()
  const heard: unknown[] = []
  const stop = session.onNotification((notification) => heard.push(notification))
  await session.query('listen here')
  await session.query(`notify here, 'one'`)
  stop()
  await session.query(`notify here, 'two'`)
  expect(heard).toEqual([{ channel: 'here', payload: 'one' }])
})
