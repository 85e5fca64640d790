// Whether anything grows: 10,000 resets of one database, and 1,000 databases that are used once.
//
//   npm run bench:endurance -- [--resets 10000] [--databases 1000]
//
// Exit code 1: the last tenth of the resets takes more than 1.2 times the first, or something is left.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'
import { createTestDb } from '../../dist/index.mjs'
import { openPlaces } from './places.mjs'
import { test } from './schema.mjs'

const pg = createRequire(import.meta.url)('pg')
const { values } = parseArgs({
  options: { resets: { type: 'string', default: '10000' }, databases: { type: 'string', default: '1000' } },
})
const resets = Number(values.resets)
const databases = Number(values.databases)
const TABLES = 50
const GROWTH = 1.2

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
const missed = []

const places = await openPlaces(TABLES, ['rows'])
try {
  const client = new pg.Client(places.rowsUrl)
  client.on('error', () => undefined)
  await client.connect()
  const sizes = async () => {
    const { rows } = await client.query(
      `select coalesce(sum(pg_relation_size(c.oid)) filter (where n.nspname = 'testdb'), 0)::int as tracker,
              coalesce(sum(pg_relation_size(c.oid)) filter (where n.nspname = 'public'), 0)::int as tables
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where relkind in ('r', 'i')`,
    )
    return rows[0]
  }
  const [way] = places.ways
  const times = []
  const tenth = Math.ceil(resets / 10)
  let early
  for (let i = 0; i < resets; i++) {
    await way.dirty()
    const startedAt = performance.now()
    await way.reset()
    times.push(performance.now() - startedAt)
    if (i === tenth) early = await sizes()
  }
  const [first, last] = [median(times.slice(0, tenth)), median(times.slice(-tenth))]
  const late = await sizes()
  console.log(
    `${resets} resets: first tenth ${first.toFixed(2)} ms, last ${last.toFixed(2)} ms (${(last / first).toFixed(2)})`,
  )
  const kb = (bytes) => `${Math.round(bytes / 1024)} kB`
  console.log(
    `  tracker ${kb(early.tracker)} after the first tenth, ${kb(late.tracker)} at the end; tables ${kb(early.tables)}, ${kb(late.tables)}`,
  )
  if (last / first > GROWTH) missed.push(`the last tenth takes ${(last / first).toFixed(2)} times the first`)
  if (late.tracker > GROWTH * early.tracker)
    missed.push(`the tracker has grown from ${early.tracker} to ${late.tracker} bytes`)

  const own = `application_name like 'testdb%' or datname like 'testdb%'`
  const look = async () => {
    const { rows } = await client.query(
      `select (select count(*)::int from pg_stat_activity where ${own}) as sessions, (select count(*)::int from pg_database) as databases,
              current_setting('data_directory') as folder`,
    )
    const disk = Number(
      execFileSync('sh', ['-c', 'du -sm "$0" 2>/dev/null; true', rows[0].folder]).toString().split('\t')[0],
    )
    return { ...rows[0], disk, heap: Math.round(process.memoryUsage().heapUsed / 1024 / 1024) }
  }
  const testdb = await createTestDb({ ...places.options, reset: 'rows', scope: 'test' })
  const taken = []
  let before
  for (let i = 0; i < databases; i++) {
    const startedAt = performance.now()
    const database = await testdb.acquire()
    taken.push(performance.now() - startedAt)
    await database.query(test)
    await database.release()
    if (i === Math.ceil(databases / 10)) before = await look()
  }
  const after = await look()
  await testdb.close()
  const end = await look()
  console.log(`${databases} databases used once: ${median(taken).toFixed(1)} ms to get one`)
  for (const [what, unit] of [
    ['sessions', ''],
    ['databases', ''],
    ['disk', ' MB'],
    ['heap', ' MB'],
  ]) {
    console.log(
      `  ${what}: ${before[what]}${unit} after the first tenth, ${after[what]}${unit} after the last, ${end[what]}${unit} at the end`,
    )
  }
  if (end.databases > before.databases) missed.push(`${end.databases} databases are left`)
  if (after.sessions > before.sessions + 2)
    missed.push(`sessions have grown from ${before.sessions} to ${after.sessions}`)
  if (after.disk > GROWTH * before.disk + 20) missed.push(`the disk has grown from ${before.disk} to ${after.disk} MB`)
  await client.end()
} finally {
  await places.close()
}
for (const line of missed) console.log(`Missed: ${line}`)
process.exitCode = missed.length > 0 ? 1 : 0
