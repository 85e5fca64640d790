// What guards add to a test: the look before the reset, and the look before the next test. On and off by turns, on one server in one run.
//
//   npm run bench:guards -- [--tests 500] [--pools 1,10] [--json]
//
// A test writes a row through a pool of its own. What is measured is everything between its end and the next test: with guards, and
// with all of them off. Exit code 1: the medians differ by half a millisecond or more.
import { parseArgs } from 'node:util'
import pg from 'pg'
import { openPlace } from './place.mjs'

const { values } = parseArgs({
  options: {
    tests: { type: 'string', default: '500' },
    pools: { type: 'string', default: '1,10' },
    json: { type: 'boolean', default: false },
  },
})
const tests = Number(values.tests)

/** Target of the project (ms at the median). */
const ALLOWED = 0.5
const TURNS = 5

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

async function measure(place, connections) {
  // As in a test file, which is loaded after the guards.
  const opening = place.guarded(true)
  const pool = new pg.Pool({ connectionString: place.database.url, max: connections })
  pool.on('error', () => undefined)
  await Promise.all(Array.from({ length: connections }, () => pool.query('select pg_sleep(0.05)')))
  await opening.end()
  const times = { on: [], off: [], roundTrip: [] }
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      for (const state of ['on', 'off']) {
        const guarded = place.guarded(state === 'on')
        for (let n = 0; n < tests / TURNS; n++) {
          await pool.query("insert into t0 (name) values ('mine')")
          const startedAt = performance.now()
          await guarded.between()
          times[state].push(performance.now() - startedAt)
          const askedAt = performance.now()
          await place.database.lease.session.query('select 1')
          times.roundTrip.push(performance.now() - askedAt)
        }
        await guarded.end()
      }
    }
  } finally {
    await pool.end()
  }
  const [on, off, roundTrip] = [times.on, times.off, times.roundTrip].map(median)
  return { connections, on, off, added: on - off, roundTrip }
}

const place = await openPlace()
const results = []
try {
  for (const connections of values.pools.split(',').map(Number)) results.push(await measure(place, connections))
} finally {
  await place.close()
}
const missed = results.filter(({ added }) => added >= ALLOWED)
if (values.json) console.log(JSON.stringify({ tests, results, missed: missed.length }, null, 2))
else {
  console.log(`\nbetween two tests (reset and guards), medians of ${tests} tests\n`)
  for (const { connections, on, off, added, roundTrip } of results) {
    const name = `${connections} ${connections === 1 ? 'connection' : 'connections'}`.padEnd(15)
    console.log(
      `  ${name} guards off ${off.toFixed(3)} ms, on ${on.toFixed(3)} ms (${(on / off).toFixed(2)} times): ${added.toFixed(3)} ms more; \`select 1\` takes ${roundTrip.toFixed(3)} ms`,
    )
  }
  for (const { connections } of missed) console.log(`Missed: ${ALLOWED} ms with ${connections} connections`)
}
process.exitCode = missed.length > 0 ? 1 : 0
