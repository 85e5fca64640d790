import { afterAll, beforeAll, expect, test } from 'vitest'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

async function limitOf(name: string): Promise<number | undefined> {
  const { rows } = await world.session.query<{ limit: number }>(
    'select datconnlimit as limit from pg_database where datname = $1',
    [name],
  )
  return rows[0]?.limit
}

test('a database that an earlier run has left gets the limit of the run that takes it, and stays clean', async () => {
  const first = await world.run()
  const template = await world.template({}, first)
  const before = await world.acquire(world.context(first, template))
  expect(await limitOf(before.name)).toBe(10)
  await before.release()
  await first.end()

  const second = await world.run()
  const context = world.context(second, template, { connectionLimit: 2 })
  const lease = await world.acquire(context)
  expect(lease.name).toBe(before.name)
  expect(await limitOf(lease.name)).toBe(2)
  await lease.release()

  // A limit that was not remembered would look like a change by a test, and the database would be replaced.
  const again = await world.acquire({ ...context, connectionLimit: 5 })
  expect(again.name).toBe(before.name)
  expect(await limitOf(again.name)).toBe(5)
  await again.release()
  await second.end()
})

test('a limit that a test has changed is still a change', async () => {
  const run = await world.run()
  const template = await world.template({}, run)
  const lease = await world.acquire(world.context(run, template))
  await world.session.query(`alter database ${lease.name} connection limit 77`)
  await lease.release()
  const next = await world.acquire(world.context(run, template))
  expect(next.name).not.toBe(lease.name)
  await next.release()
  await run.end()
})
