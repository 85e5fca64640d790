// What a critical section costs: withXactLock, the usual helper on the pool of the work, and a lock file.
//
//   npm run bench:locks -- [--sections 500] [--json]
//
// A section asks the database one thing on the pool of the work. Uncontended: one at a time, each with a key of its own. Contended: 10
// and 50 at once on one key. The lock file tries again as proper-lockfile does by default when it is told to (10 retries, from 1 s on).
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createAdvisoryLocks } from '../../dist/locks.mjs'
import { createPool } from '../../dist/pools.mjs'
import { openServer, percentile } from './server.mjs'

const require = createRequire(import.meta.url)
const lockfile = require('proper-lockfile')

const { values } = parseArgs({
  options: { sections: { type: 'string', default: '500' }, json: { type: 'boolean', default: false } },
})
const sections = Number(values.sections)
const POOL = 10
/** Seconds after which a way is stopped; a lock file that waits needs minutes for what the others do in one second. */
const PATIENCE_S = 15
/** Long enough to be no accident, short enough to wait for (ms). */
const ACQUIRE_MS = 2_000

const server = await openServer('select 1')
const folder = mkdtempSync(join(tmpdir(), 'testdb-bench-locks-'))
const pool = createPool({ connectionString: server.url, max: POOL, connectionTimeoutMs: ACQUIRE_MS })
const locks = createAdvisoryLocks({ connectionString: server.url, max: POOL })

const work = () => pool.query('select 1')

async function usualHelper(key, fn) {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock(hashtext($1))', [key])
    const value = await fn()
    await client.query('commit')
    return value
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

async function lockFile(key, fn) {
  const release = await lockfile.lock(join(folder, key), { realpath: false, retries: 10 })
  try {
    return await fn()
  } finally {
    await release()
  }
}

const WAYS = {
  withXactLock: (key, fn) => locks.withXactLock({ key, fn }),
  'usual helper, one pool': usualHelper,
  'proper-lockfile': lockFile,
}

/** `keyOf`: whose turn it is decides the key. Who still waits when the patience is over is left behind. */
async function measure(run, atOnce, keyOf) {
  const waits = []
  const errors = new Map()
  let begun = 0
  let done = 0
  const startedAt = performance.now()
  const late = () => performance.now() - startedAt > PATIENCE_S * 1000
  const caller = async () => {
    while (begun < sections && !late()) {
      const key = keyOf(begun++)
      const since = performance.now()
      try {
        await run(key, async () => {
          if (late()) return
          waits.push(performance.now() - since)
          await work()
          done++
        })
      } catch (error) {
        const text = String(error.code ?? error.message)
        errors.set(text, (errors.get(text) ?? 0) + 1)
      }
    }
  }
  const patience = new AbortController()
  await Promise.race([
    Promise.all(Array.from({ length: atOnce }, caller)),
    delay(PATIENCE_S * 1000, undefined, { signal: patience.signal }).catch(() => undefined),
  ])
  patience.abort()
  const seconds = (performance.now() - startedAt) / 1000
  return {
    done,
    perSecond: done / seconds,
    p50: percentile(waits, 0.5),
    p95: percentile(waits, 0.95),
    errors: Object.fromEntries(errors),
  }
}

const CASES = [
  { name: 'uncontended, one at a time', atOnce: 1, keyOf: (n) => `own ${n}` },
  { name: '10 at once, one key', atOnce: 10, keyOf: () => 'busy' },
  { name: '50 at once, one key', atOnce: 50, keyOf: () => 'busy' },
  { name: `${POOL} at once (the size of the pool), ${POOL} keys`, atOnce: POOL, keyOf: (n) => `k${n % POOL}` },
]

const results = []
try {
  await Promise.all(Array.from({ length: POOL }, work))
  for (const { name, atOnce, keyOf } of CASES) {
    const rows = []
    for (const [way, run] of Object.entries(WAYS)) rows.push({ way, ...(await measure(run, atOnce, keyOf)) })
    results.push({ name, rows })
  }
} finally {
  await locks.close()
  await pool.end()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
}

if (values.json) console.log(JSON.stringify({ sections, results }, null, 2))
else {
  for (const { name, rows } of results) {
    console.log(`\n${name}\n`)
    console.log(
      `  ${'way'.padEnd(24)}${'done'.padStart(6)}${'per s'.padStart(9)}${'ratio'.padStart(8)}${'p50 wait'.padStart(12)}${'p95 wait'.padStart(12)}  errors`,
    )
    const ours = rows[0].perSecond
    for (const { way, done, perSecond, p50, p95, errors } of rows) {
      const ms = (value) => `${value === undefined ? '-' : value.toFixed(2)} ms`.padStart(12)
      const failed = Object.entries(errors).map(([text, count]) => `${count} × ${text}`)
      console.log(
        `  ${way.padEnd(24)}${String(done).padStart(6)}${perSecond.toFixed(0).padStart(9)}${(perSecond / ours).toFixed(3).padStart(8)}${ms(p50)}${ms(p95)}  ${failed.join(', ')}`,
      )
    }
  }
  console.log(
    `\nThe usual helper needs a second connection in its section: as soon as ${POOL} calls have all ${POOL} of the pool, nobody goes on before the ${ACQUIRE_MS} ms of the pool are over.`,
  )
}
// Lock files that are still waited for would be waited for minutes.
process.exit()
