/** A worker dies, or loses its connections, at each step of taking, using and giving back a database (docs/design/crash-table.md). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunContext } from '../../src/databases/context.ts'
import type { Step } from '../../src/steps.ts'
import { RETENTION, sweep } from '../../src/templates/sweep.ts'
import { builtFile } from '../helpers/built.ts'
import { ways } from '../helpers/effort.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { type Snapshot, snapshotDatabase } from '../helpers/snapshot.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { within } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'
import type { WorkerInput } from './worker-actor.ts'

/** A worker that comes after a dead one finds or makes a database within this (ms); it takes some 50 on a quiet machine. */
const NEXT_WORKER_MS = 5_000

const MIGRATION = `
  create table plans (id serial primary key, name text unique);
  create table orders (id serial primary key, plan int references plans, at timestamptz default now());
  create unlogged table flags (name text)`
const SEED = `insert into plans (name) values ('free'), ('paid'); insert into flags values ('on')`
const DIRTY = `
  insert into orders (plan) select 1 from generate_series(1, 50);
  delete from flags; update plans set name = name || '!'; create table left_behind (x int)`

let server: PrivatePostgres
let world: World
let template: Template
let clean: Snapshot
beforeAll(async () => {
  server = await startPrivatePostgres()
  world = await World.create(server.admin)
  const run = await world.run()
  template = await world.template({ sql: MIGRATION, seed: SEED }, run)
  const first = await world.acquire(world.context(run, template))
  clean = await snapshotDatabase(first.session)
  await first.release()
  await run.end()
  await dropAll()
})
afterAll(async () => {
  await world?.close()
  await server?.stop()
})

type How = 'SIGKILL' | 'SIGTERM' | 'cut'

interface Row {
  readonly step: Step
  /** How many idle databases there are before. */
  readonly idle: 0 | 1
  readonly twice?: boolean
  readonly replace?: boolean
  /** What the worker says when its connections were cut. */
  readonly cut: string
}

const LOST = 'TESTDB_SERVER_LOST'
const LEASE = 'TESTDB_LEASE_LOST'
const ROWS: readonly Row[] = [
  { step: 'lease.picked', idle: 1, cut: LOST },
  { step: 'lease.locked', idle: 1, cut: LOST },
  { step: 'lease.taken', idle: 1, cut: LOST },
  { step: 'clone.registered', idle: 0, cut: LOST },
  { step: 'clone.created', idle: 0, cut: LOST },
  { step: 'clone.leased', idle: 0, cut: LOST },
  { step: 'reset.started', idle: 1, cut: LEASE },
  { step: 'reset.finished', idle: 1, cut: 'done' },
  { step: 'release.settled', idle: 1, cut: 'done' },
  { step: 'replace.noted', idle: 1, replace: true, cut: LOST },
  { step: 'replace.dropped', idle: 1, replace: true, cut: LOST },
  { step: 'replace.cloned', idle: 1, replace: true, cut: LOST },
]
/** The same worker's next file takes its database without asking the registry. When it is cut there, it asks. */
const AGAIN: readonly Row[] = [
  { step: 'lease.locked', idle: 1, twice: true, cut: 'done' },
  { step: 'lease.taken', idle: 1, twice: true, cut: LEASE },
]

describe.each(ROWS)('the worker at $step', (row) => {
  test.each(ways(['SIGKILL', 'SIGTERM', 'cut'] as const))('%s', (how) => play(row, how))
})
describe.each(AGAIN)('the worker at $step, with the database of its last file', (row) => {
  test.each(ways(['SIGKILL', 'SIGTERM', 'cut'] as const))('%s', (how) => play(row, how))
})

async function play(row: Row, how: How): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'testdb-crash-'))
  const run = await world.run()
  try {
    await run.session.query('update testdb.runs set template_id = $2 where id = $1', [run.id, template.id])
    const context = world.context(run, template, { folder })
    if (row.idle === 1) await (await world.acquire(context, '9')).release()
    await playIn(context, row, how)
    await expectNothingLeft(run)
  } finally {
    await run.end()
    await rm(folder, { recursive: true, force: true })
    await dropAll()
  }
}

async function playIn(context: RunContext, row: Row, how: How): Promise<void> {
  // With `twice`, the step of the first file goes by.
  await using stop = await stopAt(row.step, { skip: row.twice ? 1 : 0 })
  const input: WorkerInput = {
    ...{ context, slot: '1', sql: row.twice ? 'select 1' : DIRTY },
    ...{ twice: row.twice === true, replace: row.replace === true },
  }
  const child = spawn(process.execPath, [builtFile('worker-actor'), JSON.stringify(input)], {
    ...{ env: { ...process.env, ...stop.env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  })
  let said = ''
  child.on('message', (message) => {
    said = String(message)
  })
  const end = once(child, 'close')
  try {
    expect(await stop.reached()).toBe(child.pid)
    if (how === 'cut') {
      await cutEverybodyElse()
      await stop.resume()
      await within('the worker ends', end, 20_000)
      expect(said).toBe(row.cut)
    } else {
      child.kill(how)
      expect(await within('the worker ends', end, 20_000)).toEqual([null, how])
    }
  } finally {
    child.kill('SIGKILL')
  }

  // Two at once: one of them may find what the dead one left, neither may get it as it is.
  const next = await within(
    'the next workers have databases',
    Promise.all(['1', '2'].map((slot) => world.acquire(context, slot))),
    NEXT_WORKER_MS,
  )
  expect(new Set(next.map(({ name }) => name)).size).toBe(2)
  for (const lease of next) {
    expect(await snapshotDatabase(lease.session)).toEqual(clean)
    await lease.release()
  }
}

/** All but the test's own: those of the worker. */
async function cutEverybodyElse(): Promise<void> {
  const ours = [world.session.backendPid]
  await world.session.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where backend_type = 'client backend' and application_name <> 'test' and pid <> all ($1)`,
    [ours],
  )
}

/** Clean idle databases, and nothing else. */
async function expectNothingLeft(run: TestRun): Promise<void> {
  await run.end()
  await sweep(world.session, { retention: RETENTION })
  const { rows } = await world.session.query<{ name: string; state: string }>(
    'select name, state from testdb.databases',
  )
  expect(rows.filter(({ state }) => state !== 'ready')).toEqual([])
  expect(await world.databases()).toEqual([...rows.map(({ name }) => name), template.name].sort())
  for (const { name } of rows) {
    const session = await world.connect(name)
    expect((await session.query('select held, clean from testdb.lease')).rows).toEqual([{ held: false, clean: true }])
    expect(await snapshotDatabase(session)).toEqual(clean)
    await session.close()
  }
  expect((await world.session.query('select from testdb.runs')).rowCount).toBe(0)
  const sessions = await world.session.query(
    `select application_name, datname, query from pg_stat_activity
      where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  )
  expect(sessions.rows).toEqual([])
}

async function dropAll(): Promise<void> {
  const { rows } = await world.session.query<{ name: string }>('delete from testdb.databases returning name')
  for (const { name } of rows) await world.session.query(`drop database if exists "${name}" with (force)`)
}
