import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawnActor } from '../helpers/actor.ts'
import { eventually } from '../helpers/wait.ts'
import { LockLab } from './lab.ts'

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
afterAll(() => lab.close())

test('processes exclude each other: a counter that is read and written back is never wrong', async () => {
  await lab.session.query('create table counter (n int not null); insert into counter values (0)')
  const actors = [1, 2].map(() => spawnActor('countUp', { url: lab.url, times: 100 }))
  for (const actor of actors) expect(await actor.said('most')).toBe(1)
  for (const actor of actors) expect(await actor.ended()).toEqual({ code: 0, stderr: '' })
  expect((await lab.session.query('select n from counter')).rows).toEqual([{ n: 200 }])
})

test('a process that is killed in its section frees the lock at once', async () => {
  const holder = spawnActor('holdLock', { url: lab.url, key: 'k' })
  await holder.said('holds')
  const locks = lab.locks()
  const waiting = locks.withXactLock({ key: 'k', fn: () => performance.now() })
  await lab.waits()
  const killedAt = performance.now()
  await holder.kill()
  const hadAt = await waiting
  // An idle backend sees the end of its connection in some milliseconds; the time limit, 30 s, has nothing to do with it.
  expect(hadAt - killedAt).toBeLessThan(1_000)
})

test('a process that is killed while it waits leaves the queue', async () => {
  const locks = lab.locks()
  const lock = await locks.tryAcquire('k')
  const waiter = spawnActor('holdLock', { url: lab.url, key: 'k' })
  await lab.waits()
  await waiter.kill()
  await eventually('nobody waits', async () => (await lab.count(false)) === 0, 5_000)
  await lock?.release()
})
