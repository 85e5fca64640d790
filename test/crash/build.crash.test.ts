/** The leader dies, or loses its connection, at each step of a build (docs/design/crash-table.md). */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { ways } from '../helpers/effort.ts'
import { HOW, playRow, type Row, type Stage } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

const leads = { blocks: true, cut: ['TESTDB_LEADERSHIP_LOST'] } as const
const LEADER: readonly Row[] = [
  { step: 'build.elected', left: 'missing, no database', attempts: 1, ...leads },
  { step: 'build.registered', left: 'building, no database', attempts: 2, ...leads },
  { step: 'build.created', left: 'building, database', attempts: 2, ...leads },
  // The second of three migrations: the first is committed.
  { step: 'build.migrating', skip: 1, left: 'building, database', attempts: 2, ...leads },
  { step: 'build.migrated', left: 'building, database', attempts: 2, ...leads },
  { step: 'build.seeded', left: 'building, database', attempts: 2, ...leads },
  { step: 'build.equipped', left: 'building, database', attempts: 2, ...leads },
  { step: 'build.sealing', left: 'building, database', attempts: 2, ...leads },
  { step: 'build.sealed', left: 'sealed, database', attempts: 1, blocks: false, cut: ['TESTDB_SERVER_LOST'] },
]

describe.each(LEADER)('the leader at $step', (row) => {
  test.each(ways(HOW))('%s', (how) => playRow(stage, row, how))
})

// Its migration's own session goes on, and so do its statements: only what holds the lock is gone.
const DEPOSED: Row = {
  step: 'build.migrating',
  left: 'building, database',
  attempts: 2,
  only: 'testdb coordination',
  ...leads,
}

describe('the leader at a migration loses only the session that holds its lock', () => {
  test.each(ways(['cut', 'cut, taken over'] as const))('%s', (how) => playRow(stage, DEPOSED, how))
})
