import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunContext } from '../../src/databases/context.ts'
import { collect } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let template: Template
let folder: string
let context: RunContext
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  template = await world.template({}, run)
  folder = await mkdtemp(join(tmpdir(), 'testdb-same-'))
  context = world.context(run, template, { folder })
})
afterEach(async () => {
  await run.end()
  await world.close()
  await rm(folder, { recursive: true, force: true })
})

/** True when the registry was asked for a database. */
async function asksRegistry(action: () => Promise<unknown>): Promise<boolean> {
  using steps = collect('step.reached')
  await action()
  return steps.events.some(({ step }) => step === 'lease.picked' || step === 'clone.registered')
}

test("the same worker's next file takes its database again without asking the registry; another worker's asks", async () => {
  const first = await world.acquire(context, '1')
  await first.release()
  let again = first
  const takeAgain = async (): Promise<void> => {
    again = await world.acquire(context, '1')
  }
  expect(await asksRegistry(takeAgain)).toBe(false)
  expect(again.name).toBe(first.name)
  expect((await again.session.query('select held, clean, run_id from testdb.lease')).rows).toEqual([
    { held: true, clean: false, run_id: run.id },
  ])
  expect(await asksRegistry(() => world.acquire(context, '2'))).toBe(true)
})

test('a note for another template does not count: in watch mode migrations change', async () => {
  const first = await world.acquire(context, '1')
  await first.release()
  const changed = await world.template({ sql: 'create table others (id int)' }, run)
  const lease = await world.acquire({ ...context, template: changed }, '1')
  expect(lease.name).not.toBe(first.name)
  expect((await lease.session.query('select from others')).rowCount).toBe(0)
})

test('a slot of any name has its note in the folder', async () => {
  const slot = '../../etc/passwd 100%'
  const lease = await world.acquire(context, slot)
  await lease.release()
  expect(await asksRegistry(() => world.acquire(context, slot))).toBe(false)
})

test.each(['', 'no such database', 'postgres', 'template0'])('a note that says "%s" is not believed', async (note) => {
  await writeFile(join(folder, `slot-${template.id}-1`), note)
  const lease = await world.acquire(context, '1')
  expect(await readFile(join(folder, `slot-${template.id}-1`), 'utf8')).toBe(lease.name)
})

test('a database that somebody else has by now is left to them', async () => {
  const first = await world.acquire(context, '1')
  await first.release()
  const other = await world.acquire(world.context(run, template), '1')
  expect(other.name).toBe(first.name)
  const next = await world.acquire(context, '1')
  expect(next.name).not.toBe(first.name)
  expect(other.session.lost.aborted).toBe(false)
})

test('a database that another run has used meanwhile, and one that was left dirty, go through the registry', async () => {
  const first = await world.acquire(context, '1')
  await first.release()
  const second = await world.run()
  const theirs = await world.acquire(world.context(second, template), '1')
  expect(theirs.name).toBe(first.name)
  await theirs.release()
  expect(await asksRegistry(() => world.acquire(context, '1'))).toBe(true)
  await second.end()

  const dirty = await world.acquire(context, '2')
  await dirty.session.close()
  const next = await world.acquire(context, '2')
  expect(next.name).not.toBe(dirty.name)
})

test('what the last file left at work is ended before the next one begins', async () => {
  const first = await world.acquire(context, '1')
  const tests = await world.connect(first.name, 'role')
  await first.release()
  const late = tests.query('select pg_sleep(600)').catch((error: Error) => error)
  await expect
    .poll(
      async () =>
        (
          await world.session.query(
            `select from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' and pid <> pg_backend_pid()`,
          )
        ).rowCount,
    )
    .toBe(1)
  const again = await world.acquire(context, '1')
  expect(again.name).toBe(first.name)
  expect(await late).toBeInstanceOf(Error)
  expect(tests.lost.aborted).toBe(true)
})
