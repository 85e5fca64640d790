/** A run dies, or loses its connection, at each step of its sweep (docs/design/crash-table.md). */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { acquireDatabase } from '../../src/acquire.ts'
import { ways } from '../helpers/effort.ts'
import type { Place } from './place.ts'
import { HOW, playRow, type Row, type Stage } from './rows.ts'
import { prepareStage } from './stage.ts'

let stage: Stage & AsyncDisposable
beforeAll(async () => {
  stage = await prepareStage()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

/** A template of long ago with an idle database, and a project that has moved on. */
async function leaveOldTemplate(place: Place): Promise<void> {
  place.rehash('old')
  const run = await place.run()
  await (await acquireDatabase(run.context, { slot: '1' })).release()
  await run.close()
  await place.rows(`update testdb.templates set last_used = now() - interval '15 days'`)
  place.rehash('new')
}

// The sweep runs beside the tests: who loses the connection then has nothing to complain of.
const sweeps = { blocks: false, cut: ['started', 'closed'], attempts: 1, prepare: leaveOldTemplate } as const
const SWEEP: readonly Row[] = [
  { step: 'sweep.claimed', left: 'missing, database; sealed, database', ...sweeps },
  { step: 'sweep.dropped', left: 'missing, database; sealed, database', ...sweeps },
  // The second database that goes is the template itself.
  { step: 'sweep.dropped', skip: 1, left: 'missing, no database; sealed, database', ...sweeps },
]

describe.each(SWEEP)('a sweep at $step', (row) => {
  test.each(ways(HOW))('%s', (how) => playRow(stage, row, how))
})
