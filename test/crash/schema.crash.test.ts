/** `isolation: 'schema'`: a run or a worker dies, or loses its connections, at each of its steps (docs/design/crash-table.md). */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Step } from '../../src/steps.ts'
import { builtFile } from '../helpers/built.ts'
import { isShort } from '../helpers/effort.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { eventually, within } from '../helpers/wait.ts'
import { contentOf, FILES, SchemaLab, type SchemaPlace } from '../schemas/lab.ts'
import { spawnActor } from './actors.ts'
import type { WorkerInput } from './worker-actor.ts'

let lab: SchemaLab
beforeAll(async () => {
  lab = await SchemaLab.start()
})
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]()
})

const MIGRATED = {
  users: [
    { id: 1, name: 'Ada' },
    { id: 2, name: 'Grace' },
  ],
  orders: null,
  migrations: ['001_tables.sql', '002_rows.sql'],
  number: '7',
  lastUser: '2',
}
const DIRTY = `insert into users (name) values ('left behind'); update users set name = name || '!'; select nextval('numbers')`

interface RunRow {
  readonly step: Step
  /** An older hash has left a schema, which this run sweeps. */
  readonly sweeps?: boolean
  /** What the process says when its connections were cut. */
  readonly cut: readonly string[]
}

const RUNS: readonly RunRow[] = [
  { step: 'schema.registered', cut: ['TESTDB_SERVER_LOST'] },
  { step: 'schema.created', cut: ['TESTDB_SERVER_LOST'] },
  { step: 'schema.migrating', cut: ['TESTDB_SERVER_LOST'] },
  { step: 'schema.migrated', cut: ['TESTDB_SERVER_LOST'] },
  { step: 'schema.equipped', cut: ['TESTDB_SERVER_LOST'] },
  { step: 'schema.claimed', sweeps: true, cut: ['started', 'closed'] },
  { step: 'schema.dropped', sweeps: true, cut: ['started', 'closed'] },
]

describe.each(RUNS)('the run at $step', (row) => {
  test.each(isShort ? (['SIGKILL'] as const) : (['SIGKILL', 'cut'] as const))('%s', async (how) => {
    const place = await lab.place()
    if (row.sweeps) {
      await (await place.run()).close()
      place.project.write({ 'migrations/000_first.sql': 'select 1' })
    }
    {
      await using stop = await stopAt(row.step)
      await using actor = spawnActor(place, { handleSigterm: false }, stop.env)
      expect(await stop.reached()).toBe(actor.pid)
      if (how === 'SIGKILL') actor.kill('SIGKILL')
      else {
        await cut(place)
        await stop.resume()
        expect((await actor.ended()).said).toEqual(row.cut)
      }
      await actor.ended()
    }
    await expectGood(place, row.sweeps ? ['000_first.sql', ...MIGRATED.migrations] : MIGRATED.migrations)
  })
})

/** The next run has exact schemas, and nothing else is left. */
async function expectGood(place: SchemaPlace, migrations: readonly string[]): Promise<void> {
  const run = await place.run(2)
  const databases = [await place.acquire(run, '1'), await place.acquire(run, '2')]
  for (const db of databases) {
    expect(await contentOf(db)).toEqual({ ...MIGRATED, migrations })
    await db.release()
  }
  await run.close()
  const records = await place.records()
  expect(records.map(({ state }) => state)).toEqual(['ready', 'ready'])
  expect(await place.schemas()).toEqual(records.map(({ name }) => name))
  expect(await place.ask(`select from pg_namespace where nspname like 'testdb\\_%\\_copy'`)).toHaveLength(2)
  expect(await place.ask('select from testdb.runs')).toEqual([])
  await eventually('no session is left', async () => (await sessions(place)).length === 0)
}

const sessions = (place: SchemaPlace): Promise<unknown[]> =>
  place.ask(
    `select application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and backend_type = 'client backend'`,
  )

/** The connections of whoever uses the database, but for those of the test's own process. */
async function cut(place: SchemaPlace, spare: readonly number[] = []): Promise<void> {
  await place.observer.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend' and pid <> all ($1)`,
    [spare],
  )
}

interface WorkerRow {
  readonly step: Step
  readonly replace?: boolean
  readonly cut: string
}

const WORKERS: readonly WorkerRow[] = [
  { step: 'schema.taken', cut: 'TESTDB_LEASE_LOST' },
  { step: 'reset.started', cut: 'TESTDB_LEASE_LOST' },
  { step: 'reset.finished', cut: 'done' },
  { step: 'schema.requested', replace: true, cut: 'TESTDB_SERVER_LOST' },
  { step: 'release.settled', cut: 'done' },
]

describe.each(WORKERS)('the worker at $step', ({ step, replace = false, cut: expected }) => {
  test.each(isShort ? (['SIGKILL'] as const) : (['SIGKILL', 'cut'] as const))('%s', async (how) => {
    const place = await lab.place()
    const run = await place.run(2)
    const own = await place.ask<{ pid: number }>(`select pid from pg_stat_activity where datname = current_database()`)
    const input: WorkerInput = { context: run.context, slot: '1', sql: DIRTY, twice: false, replace }
    await using stop = await stopAt(step)
    const child = spawn(process.execPath, [builtFile('worker-actor'), JSON.stringify(input)], {
      ...{ env: { ...process.env, ...stop.env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    })
    await play(child, async (said, end) => {
      expect(await stop.reached()).toBe(child.pid)
      if (how === 'SIGKILL') child.kill('SIGKILL')
      else {
        await cut(
          place,
          own.map(({ pid }) => pid),
        )
        await stop.resume()
      }
      await within('the worker ends', end, 20_000)
      if (how === 'cut') expect(said()).toBe(expected)
    })
    const next = await within(
      'the next workers have schemas',
      Promise.all(['1', '2'].map((slot) => place.acquire(run, slot))),
      20_000,
    )
    expect(new Set(next.map(({ lease }) => lease?.name)).size).toBe(2)
    for (const db of next) {
      expect(await contentOf(db)).toEqual(MIGRATED)
      await db.release()
    }
    await run.close()
    await expectGood(place, MIGRATED.migrations)
  })
})

async function play(
  child: ChildProcess,
  body: (said: () => string, end: Promise<unknown>) => Promise<void>,
): Promise<void> {
  let said = ''
  child.on('message', (message) => {
    said = String(message)
  })
  try {
    await body(() => said, once(child, 'close'))
  } finally {
    child.kill('SIGKILL')
  }
}

test('the server crashes: unlogged tables of a schema are filled again', async () => {
  const place = await lab.place({
    ...FILES,
    'migrations/003_unlogged.sql': `create unlogged table flags (name text); insert into flags values ('on')`,
  })
  await (await place.run()).close()
  const [backend] = await place.ask<{ pid: number }>('select pg_backend_pid() as pid')
  process.kill(backend?.pid ?? 0, 'SIGKILL')
  const again = await lab.reopen(place)
  const run = await again.run()
  const db = await again.acquire(run)
  expect((await db.query('select * from flags')).rows).toEqual([{ name: 'on' }])
  await db.release()
})
