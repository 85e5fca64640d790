import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  databaseExists,
  describeActivity,
  dropDatabase,
  endSessions,
  removeDatabase,
  Session,
  sessionsOf,
} from '../../src/postgres/index.ts'
import { eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

let count = 0
async function makeDatabase(): Promise<string> {
  const name = `${world.admin.database}_${++count}`
  await world.session.query(`create database ${name} template template0`)
  return name
}

test('ending sessions waits until they are gone', async () => {
  const name = await makeDatabase()
  const idle = await world.connect(name)
  const busy = await world.connect(name)
  void busy.query('select pg_sleep(600)').catch(() => undefined)
  expect(await endSessions(world.session, name)).toBe(2)
  expect(await sessionsOf(world.session, name)).toEqual([])
  // Nobody is left to wait for, so the plain statement works at once.
  await dropDatabase(world.session, name)
  await eventually('both are lost', () => idle.lost.aborted && busy.lost.aborted)
})

test('only the busy ones are ended when that is asked for', async () => {
  const name = await makeDatabase()
  const idle = await world.connect(name)
  const inTransaction = await world.connect(name)
  await inTransaction.query('begin')
  const working = await world.connect(name)
  void working.query('select pg_sleep(600)').catch(() => undefined)
  await eventually('it works', async () =>
    (await sessionsOf(world.session, name)).some((one) => one.state === 'active'),
  )
  expect(await endSessions(world.session, name, 'busy')).toBe(2)
  expect((await sessionsOf(world.session, name)).map((one) => one.pid)).toEqual([idle.backendPid])
  await removeDatabase(world.session, name)
})

test('the asking session is not ended', async () => {
  const name = await makeDatabase()
  await using session = await world.connect(name)
  expect(await endSessions(session, name)).toBe(0)
  await session.query('select 1')
  await session.close()
  await dropDatabase(world.session, name)
})

test('a session in words', async () => {
  const name = await makeDatabase()
  const session = await world.connect(name)
  await session.query('select 1   as\n"one"')
  const [one] = await sessionsOf(world.session, name)
  if (!one) throw new Error('no session')
  expect(describeActivity(one)).toMatch(
    new RegExp(`^pid ${session.backendPid} \\(test, user postgres, connected for \\d+ s, idle: select 1 as "one"\\)$`),
  )
  await removeDatabase(world.session, name)
})

test('a sealed database is dropped, and one that is not there is no error', async () => {
  const name = await makeDatabase()
  await world.session.query(`alter database ${name} with allow_connections false is_template true`)
  await dropDatabase(world.session, name)
  expect(await databaseExists(world.session, name)).toBe(false)
  await dropDatabase(world.session, name)
  await removeDatabase(world.session, name)
})

test('a database is removed although somebody reconnects all the time', async () => {
  const name = await makeDatabase()
  let going = true
  const strays = Array.from({ length: 4 }, async () => {
    while (going) {
      const session = await Session.open({ ...world.admin, database: name }, { applicationName: 'stray' }).catch(
        () => undefined,
      )
      await session?.close()
    }
  })
  await eventually('they are there', async () => (await sessionsOf(world.session, name)).length > 0)
  await removeDatabase(world.session, name)
  going = false
  await Promise.all(strays)
  expect(await databaseExists(world.session, name)).toBe(false)
})

test('what an interrupted DROP leaves behind is removed', async () => {
  const name = await makeDatabase()
  await world.session.query('update pg_database set datconnlimit = -2 where datname = $1', [name])
  await removeDatabase(world.session, name)
  expect(await databaseExists(world.session, name)).toBe(false)
})
