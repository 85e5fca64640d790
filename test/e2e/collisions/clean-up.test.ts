/** Somebody cleans up without patience, over and over, while runs of the same checkout begin, work and end. */
import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { NOTE_ESM, SQL_MIGRATIONS, vitestConfig } from '../files.ts'
import { expectExit, expectNothingLeft, makeProject, type Outcome, type Project, runIn } from '../project.ts'
import { asAdmin, inventory } from '../servers.ts'
import { WAIT_ESM, whileHeld } from './lab.ts'

const PRUNE = ['prune', '--keep-days', '0']
const RESET = ['reset', '--all']

interface Note {
  readonly database: string
  readonly at: number
  readonly held?: true
}

const suite = `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from './note.js'
import { gate } from './wait.js'

async function write(db) {
  expect((await db.query("insert into notes (team_id, body) values (1, 'x') returning id")).rows).toEqual([{ id: 1 }])
  note({ database: db.name, at: Date.now() })
}
for (const round of [1, 2, 3]) test('writes ' + round, ({ db }) => write(db))
test('is held', async ({ db }) => {
  await write(db)
  note({ database: db.name, at: Date.now(), held: true })
  await gate()
  expect((await db.query('select count(*)::int as n from notes')).rows).toEqual([{ n: 1 }])
}, 90_000)
test('writes at the end', ({ db }) => write(db))
`

const script = `import { createTestDb } from 'testdb'
for (let round = 0; round < 12; round++) {
  const testdb = await createTestDb()
  const [one, two] = await Promise.all([testdb.acquire(), testdb.acquire()])
  await one.query("insert into notes (team_id, body) values (1, 'x')")
  const { rows } = await two.query('select count(*)::int as n from notes')
  if (one.name === two.name || rows[0].n !== 0) throw new Error('not alone on ' + two.name)
  await testdb.close()
}
`

let project: Project
beforeAll(async () => {
  project = await makeProject('clean-up', {
    ...SQL_MIGRATIONS,
    ...NOTE_ESM,
    ...WAIT_ESM,
    ...vitestConfig(),
    'a.test.js': suite,
    'script.js': script,
  })
})

interface Cleaning {
  readonly outcome: Outcome
  readonly endedAt: number
}

/** Cleans up in turns until it is told to stop. */
function cleanUp(): { readonly done: Cleaning[]; stop(): Promise<void> } {
  const done: Cleaning[] = []
  let stopped = false
  const loop = (async () => {
    while (!stopped) {
      const outcome = await runIn(project, 'testdb', done.length % 2 === 0 ? PRUNE : RESET)
      done.push({ outcome, endedAt: Date.now() })
    }
  })()
  return {
    done,
    async stop() {
      stopped = true
      await loop
    },
  }
}

test.each([2, 4])('%i runs at once', async (count) => {
  project.clearNotes()
  const gate = path.join(project.root, 'gate')
  const cleaning = cleanUp()
  const runs = Array.from({ length: count }, () => runIn(project, 'vitest', ['run'], { env: { GATE: gate } }))
  const held = (): Note[] => project.notes<Note>().filter((note) => note.held)
  try {
    await whileHeld({ runs, gate, arrived: () => held().length === count }, async () => {
      // The one that is under way, and then one of each kind that begins while the runs are held.
      const enough = cleaning.done.length + 3
      await expect.poll(() => cleaning.done.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(enough)
    })
  } finally {
    await cleaning.stop()
  }

  for (const { outcome } of cleaning.done) expectExit(outcome, 0)
  const notes = project.notes<Note>()
  expect(notes).toHaveLength(count * 6)
  expect(new Set(held().map(({ database }) => database)).size).toBe(count)
  // A name is never given twice, so whatever was removed must not be used afterwards.
  for (const { outcome, endedAt } of cleaning.done) {
    for (const { database, at } of notes) {
      if (at > endedAt)
        expect(outcome.stdout).not.toMatch(new RegExp(`(removed ${database}|${database}: dropped)$`, 'm'))
    }
  }
  await expectNothingLeft(project)
  expect(
    await asAdmin(
      { projectRoot: project.root },
      async (session) => (await session.query('select from testdb.runs')).rowCount,
    ),
  ).toBe(0)
})

test('runs so short that they begin and end while somebody cleans up', async () => {
  const cleaning = cleanUp()
  try {
    const runs = [1, 2].map(() => runIn(project, 'node', ['script.js']))
    for (const outcome of await Promise.all(runs)) expectExit(outcome, 0)
  } finally {
    await cleaning.stop()
  }

  for (const { outcome } of cleaning.done) expectExit(outcome, 0)
  await expectNothingLeft(project)
})

test('when the last one has ended, everything goes', async () => {
  expectExit(await runIn(project, 'testdb', RESET), 0)

  const { templates, databases } = await inventory({ projectRoot: project.root })
  expect(templates.map(({ state, oid }) => ({ state, oid }))).toEqual([{ state: 'missing', oid: null }])
  expect(databases).toEqual([])
  await expectNothingLeft(project)
})
