import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { CHANNEL, ensureRegistry, FORMAT, hasRegistry } from '../../src/coordination/index.ts'
import { cloneStrategy, databaseExists, Session } from '../../src/postgres/index.ts'
import { binaries } from '../helpers/packages.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

test('ten sessions make one registry, on a database that has none', async () => {
  const database = `${world.admin.database}_empty`
  await world.session.query(`create database ${database} template template0 ${cloneStrategy(binaries.major)}`)
  const target = { ...inject('server'), database }
  const sessions = await Promise.all(
    Array.from({ length: 10 }, () => Session.open(target, { applicationName: 'test' })),
  )
  try {
    const [first] = sessions
    if (!first) throw new Error('no session')
    expect(await hasRegistry(first)).toBe(false)
    await Promise.all(sessions.map((session) => ensureRegistry(session)))
    expect((await first.query('select version from testdb.format')).rows).toEqual([{ version: FORMAT }])
    // Nothing is held when it is there.
    const locks = `select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
    expect((await first.query(locks)).rowCount).toBe(0)
  } finally {
    await Promise.all(sessions.map((session) => session.close()))
    await world.session.query(`drop database ${database}`)
  }
})

test('a change is told when it commits, and not when it is rolled back', async () => {
  const { id } = await world.register()
  await using listener = await world.open()
  await using writer = await world.open()
  let heard: string[] = []
  listener.onNotification(({ payload }) => heard.push(payload))
  await listener.query(`listen ${CHANNEL.templates}`)
  /** What came before a notification that comes after everything. */
  const told = async (): Promise<string[]> => {
    await world.session.query(`notify ${CHANNEL.templates}, 'end'`)
    await eventually('the last notification is heard', () => heard.includes('end'))
    const before = heard.slice(0, heard.indexOf('end'))
    heard = []
    return before
  }

  await writer.query('begin')
  await writer.query(`update testdb.templates set state = 'building' where id = $1`, [id])
  expect(await told()).toEqual([])
  await writer.query('rollback')
  expect(await told()).toEqual([])

  await writer.query('begin')
  await writer.query(`update testdb.templates set state = 'building' where id = $1`, [id])
  await writer.query('commit')
  expect(await told()).toEqual([String(id)])

  // Progress is no state: nobody is woken by it.
  await writer.query(`update testdb.templates set step = '{}', last_used = now() where id = $1`, [id])
  expect(await told()).toEqual([])
})

test('the registry of a newer testdb is refused with what to do', async () => {
  await using session = await world.open()
  await session.query('update testdb.format set version = version + 1')
  try {
    await expect(ensureRegistry(session)).rejects.toMatchObject({
      code: 'TESTDB_SERVER_UNSUPPORTED',
      what: expect.stringContaining(`format ${FORMAT + 1}, here ${FORMAT}`),
      fixes: expect.arrayContaining([expect.stringContaining('Use one version of testdb')]),
    })
  } finally {
    await session.query('update testdb.format set version = version - 1')
  }
})

test('the registry of an older testdb is replaced with its databases, but not under a living run', async () => {
  const old = await World.create()
  try {
    const run = await old.run()
    const template = await old.template({}, run)
    const lease = await old.acquire(old.context(run, template))
    await lease.release()
    await old.session.query('update testdb.format set version = version - 1')
    await using session = await old.open()
    await expect(ensureRegistry(session)).rejects.toMatchObject({ code: 'TESTDB_SERVER_UNSUPPORTED' })
    expect(await databaseExists(session, lease.name)).toBe(true)

    await run.end()
    using warnings = collect('warning.raised')
    await Promise.all([ensureRegistry(session), ensureRegistry(old.session)])
    expect(warnings.events.map((event) => event.message)).toEqual([
      'the registry of an older testdb and its 2 databases were replaced',
    ])
    for (const name of [lease.name, template.name]) expect(await databaseExists(session, name)).toBe(false)
    const { rows } = await session.query(
      'select version, (select count(*)::int from testdb.templates) as templates from testdb.format',
    )
    expect(rows).toEqual([{ version: FORMAT, templates: 0 }])
  } finally {
    await old.close()
  }
})
