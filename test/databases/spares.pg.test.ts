import { afterEach, beforeEach, expect, test } from 'vitest'
import { readQueue } from '../../src/coordination/index.ts'
import type { RunContext } from '../../src/databases/context.ts'
import { acquireFresh } from '../../src/databases/fresh.ts'
import { SpareQueue } from '../../src/databases/spares.ts'
import { sweep } from '../../src/templates/sweep.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let context: RunContext
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  const template = await world.template({ sql: 'create table items (id serial primary key, name text)' }, run)
  context = world.context(run, template, { scope: 'test' })
})
afterEach(async () => {
  await run.end()
  await world.close()
})

const state = (): ReturnType<typeof readQueue> => readQueue(world.session, run.id)
const clones = async (): Promise<string[]> => (await world.databases()).filter((name) => !/_t_|_s_/.test(name))

test('clones are made in advance, taken once, replaced, dropped after use, and none is left at the end', async () => {
  using warnings = collect('warning.raised')
  const queue = new SpareQueue(run.session, context, 3)
  queue.start()
  await eventually('three lie ready', async () => (await state()).spares === 3)
  using acquired = collect('database.acquired')
  const leases = await Promise.all(['1', '2', '3'].map((slot) => acquireFresh(context, slot)))
  expect(new Set(leases.map(({ name }) => name)).size).toBe(3)
  expect(acquired.events.map(({ created }) => created)).toEqual([false, false, false])
  await eventually('three more', async () => (await state()).spares === 3)
  expect(await clones()).toHaveLength(6)
  for (const lease of leases) await lease.release()
  await eventually('the used ones are gone', async () => (await clones()).length === 3)
  await queue.clear()
  expect(await clones()).toEqual([])
  expect(warnings.events).toEqual([])
})

test('many tests, few databases: nothing grows', async () => {
  const queue = new SpareQueue(run.session, context, 2)
  queue.start()
  const seen = new Set<string>()
  const sessions = async (): Promise<number> =>
    (
      await world.session.query(`select from pg_stat_activity where datname like $1`, [
        `testdb_${world.project.slice(0, 8)}%`,
      ])
    ).rowCount ?? 0
  for (let i = 0; i < 60; i++) {
    const lease = await acquireFresh(context, '1')
    const { rows } = await lease.session.query<{ n: number }>('select count(*)::int as n from items')
    expect(rows).toEqual([{ n: 0 }])
    await lease.session.query(`insert into items (name) values ('x')`)
    seen.add(lease.name)
    await lease.release()
    expect((await clones()).length).toBeLessThan(12)
    expect(await sessions()).toBeLessThan(12)
  }
  expect(seen.size).toBe(60)
  await queue.clear()
  expect(await clones()).toEqual([])
})

test('without a queue each is cloned by who wants it', async () => {
  const lease = await acquireFresh(context, '1')
  expect(lease.once).toBe(true)
  await lease.release()
  expect((await state()).used).toEqual([lease.name])
})

test('a run that is gone: its spares and what it used are swept, by whoever comes next', async () => {
  const other = await world.run()
  const queue = new SpareQueue(other.session, { ...context, runId: other.id }, 2)
  queue.start()
  await eventually('two lie ready', async () => (await readQueue(world.session, other.id)).spares === 2)
  const used = await acquireFresh({ ...context, runId: other.id }, '1')
  // As when its process is killed: nothing is given back.
  await other.session.close()
  await used.session.close()
  await eventually('its lock is free', async () => {
    await sweep(world.session, { retention: { perProject: 9, days: 9 } })
    return (await clones()).length === 0
  })
  await queue.stop()
})
