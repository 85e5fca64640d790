// Ways back to the migrated state, on one server in one run, for schemas of several sizes.
//
//   npm run bench -- [--tables 10,100,400] [--rounds 30] [--json]
//
// The rivals work on a copy without testdb's triggers. Each way has its turn of several rounds, three times over; medians are printed.
// Not round by round: to truncate hundreds of tables, or to clone, invalidates what every session of the server has cached, and
// the others would pay for it. What a session without anything cached pays is a line of its own. Exit code 1: a target is missed.
import { parseArgs } from 'node:util'
import { openPlaces } from './places.mjs'
import { restoreSnapshots } from './snapshots.mjs'
import { measureTracking } from './tracking.mjs'

const { values } = parseArgs({
  options: {
    tables: { type: 'string', default: '10,100,400' },
    rounds: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const sizes = values.tables.split(',').map(Number)

/** Targets of the project. */
const FASTER_THAN_TRUNCATE = 50
const TRACKING_COST = 1.15

const TURNS = 3

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

async function timed(action) {
  const startedAt = performance.now()
  await action()
  return performance.now() - startedAt
}

async function measure(tables) {
  const places = await openPlaces(tables)
  try {
    const times = Object.fromEntries(places.ways.map(({ name }) => [name, []]))
    for (let turn = 0; turn < TURNS; turn++) {
      for (const { name, slow, dirty, reset } of places.ways) {
        for (let round = 0; round < (slow ? Math.max(1, rounds / 10 / TURNS) : rounds); round++) {
          await dirty()
          times[name].push(await timed(reset))
        }
      }
    }
    const snapshots = await restoreSnapshots(tables, Math.max(3, Math.floor(rounds / 10)))
    const tracking = await measureTracking(places, rounds * 50)
    const rows = Object.entries(times).map(([name, all]) => ({ name, ms: median(all) }))
    rows.push({ name: 'testcontainers restoreSnapshot', ...snapshots })
    return { tables, rows, tracking }
  } finally {
    await places.close()
  }
}

const results = []
for (const tables of sizes) results.push(await measure(tables))

const of = ({ rows }, name) => rows.find((row) => row.name === name)?.ms
const missed = []
const largest = results.at(-1)
const ratio = of(largest, 'truncate every table, seed again') / of(largest, 'rows')
if (ratio < FASTER_THAN_TRUNCATE)
  missed.push(`rows is ${ratio.toFixed(0)} times faster than truncating ${largest.tables} tables`)
for (const { tables, tracking } of results) {
  if (tracking.ratio > TRACKING_COST)
    missed.push(`an insert costs ${tracking.ratio.toFixed(2)} with tracking at ${tables} tables`)
}

if (values.json) console.log(JSON.stringify({ rounds, results, missed }, null, 2))
else {
  for (const { tables, rows, tracking } of results) {
    console.log(
      `\n${tables} tables, half of them with 100 seeded rows; a test adds, changes and removes a row in 5 of them\n`,
    )
    const fastest = of({ rows }, 'rows')
    for (const { name, ms, reason } of rows.sort((a, b) => (a.ms ?? Infinity) - (b.ms ?? Infinity))) {
      const text =
        ms === undefined ? reason : `${ms.toFixed(2).padStart(9)} ms  ${(ms / fastest).toFixed(1).padStart(7)} × rows`
      console.log(`  ${name.padEnd(36)}${text}`)
    }
    console.log(
      `  single-row insert over the wire: ${tracking.plain.toFixed(3)} ms without, ${tracking.tracked.toFixed(3)} ms with tracking (${tracking.ratio.toFixed(2)}); select ${tracking.select.toFixed(2)}`,
    )
  }
  const [small] = results
  console.log(
    `\nrows at ${largest.tables} tables takes ${(of(largest, 'rows') / of(small, 'rows')).toFixed(2)} times what it takes at ${small.tables}`,
  )
  for (const line of missed) console.log(`Missed: ${line}`)
}
process.exitCode = missed.length > 0 ? 1 : 0
