import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawnActor } from '../helpers/actor.ts'
import { eventually } from '../helpers/wait.ts'
import { World } from '../helpers/world.ts'

let world: World
beforeAll(async () => {
  world = await World.create()
})
afterAll(() => world.close())

test('a background session lets its process end by itself', async () => {
  const actor = spawnActor('unref', { admin: world.admin })
  const pid = await actor.said<number>('idle')
  expect(await actor.ended()).toEqual({ code: 0, stderr: '' })
  await eventually('its backend ends with it', async () => {
    const { rowCount } = await world.session.query('select from pg_stat_activity where pid = $1', [pid])
    return rowCount === 0
  })
})

test('a statement keeps the process alive, also when one ran while the session went to the background', async () => {
  const actor = spawnActor('unrefBusy', { admin: world.admin })
  await actor.said('answered')
  expect((await actor.ended()).code).toBe(0)
})

test('the loss of idle connections, a session and a pooled one, ends no process', async () => {
  const actor = spawnActor('bystander', { admin: world.admin })
  for (const pid of await actor.said<number[]>('connected'))
    await world.session.query('select pg_terminate_backend($1)', [pid])
  actor.tell('go on')
  expect(await actor.said('alive')).toEqual({ lost: true, pool: 1 })
  expect(await actor.ended()).toEqual({ code: 0, stderr: '' })
})
