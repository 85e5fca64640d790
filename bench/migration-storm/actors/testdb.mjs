// What a script with testdb does: gets a migrated database of its own and asks it something.
import { subscribe } from 'node:diagnostics_channel'
import { createTestDb } from '../../../dist/index.mjs'
import { act, LAST_TABLE, say } from './say.mjs'

const EVENTS = [
  'server.started',
  'leader.elected',
  'leader.waiting',
  'migration.started',
  'template.reused',
  'database.acquired',
]
for (const event of EVENTS) subscribe(`testdb:${event}`, () => say(event))
const STEPS = ['run.connected', 'run.usesTemplate', 'build.migrated', 'build.sealing', 'build.sealed']
subscribe('testdb:step.reached', ({ step }) => {
  if (STEPS.includes(step)) say(step)
})

// Each round of the takeovers builds a template of its own.
const options = process.env.STORM_ROUND ? { hash: { env: ['STORM_ROUND'] } } : {}
let testdb
await act(async () => {
  testdb = await createTestDb(options)
  const database = await testdb.acquire()
  await database.query(`select count(*) from ${LAST_TABLE}`)
})
await testdb?.close()
