// What a start costs: the example's 41 test files with testdb, and the same files with no database.
//
//   npm run bench:start -- [--rounds 5] [--json]
//
// In all four rows the files are loaded and no test is run (a name filter that matches nothing), so the difference is
// testdb's set-up alone: the run's start, and for each file taking a database and giving it back. The package is packed and
// installed as users install it. Rounds are interleaved; medians are printed, because machines are noisy.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
})
const root = join(import.meta.dirname, '../..')
const home = await mkdtemp(join(tmpdir(), 'testdb-bench-start-'))
const project = join(home, 'project')
const timeline = join(home, 'timeline.jsonl')
const npm = { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] }

const config = (more) => `import { defineConfig } from 'vitest/config'
export default defineConfig({ test: { include: ['test/**/*.test.js'], pool: 'threads', maxWorkers: '100%', ${more} } })\n`

async function prepare() {
  await cp(join(root, 'examples/knex-vitest'), project, {
    recursive: true,
    filter: (file) => !file.includes('node_modules'),
  })
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', home], { cwd: root, stdio: 'ignore' })
  const manifest = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  manifest.devDependencies.testdb = `file:${join(home, `testdb-${version}.tgz`)}`
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], npm)
  await writeFile(join(project, 'none.config.js'), config(''))
  await writeFile(
    join(project, 'testdb.vitest.config.js'),
    config(`globalSetup: ['testdb/vitest'], setupFiles: ['testdb/vitest/setup']`),
  )
}

const testdb = (...args) => execFileSync('npx', ['testdb', ...args], { ...npm, stdio: 'ignore' })
const cache = join(project, 'node_modules/.cache/testdb')

/** What is done before each round of a row. */
const ROWS = {
  'no database': { config: 'none.config.js', before: () => undefined },
  'warm, server running': { config: 'testdb.vitest.config.js', before: () => testdb('up') },
  'warm, server stopped': { config: 'testdb.vitest.config.js', before: () => testdb('down') },
  cold: {
    config: 'testdb.vitest.config.js',
    before: async () => {
      testdb('reset', '--all')
      testdb('down')
      // Data in memory belongs to the cache, too: without its password it is made anew.
      await rm(cache, { recursive: true, force: true })
    },
  },
}

async function run(file) {
  await writeFile(timeline, '')
  const startedAt = performance.now()
  const child = spawn('npx', ['vitest', 'run', '--config', file, '-t', 'no test has this name'], {
    cwd: project,
    stdio: 'ignore',
    env: {
      ...process.env,
      BENCH_TIMELINE: timeline,
      NODE_OPTIONS: `--import ${join(import.meta.dirname, 'timeline.mjs')}`,
    },
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`vitest ended with ${code}`)
  const ms = performance.now() - startedAt
  const events = (await readFile(timeline, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  return { ms, events }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN

/** Milliseconds from one event to another in the main process, or undefined. */
function between(events, from, to) {
  const [a, b] = [from, to].map((name) => events.find((one) => one.name === name && one.place === 'main')?.at)
  return a === undefined || b === undefined ? undefined : b - a
}

function parts(events) {
  const acquired = events.filter(({ name }) => name === 'database.acquired')
  const released = events.filter(({ name }) => name === 'release.settled')
  const resets = events.filter(({ name }) => name === 'database.reset')
  return {
    files: released.length,
    'server: attach or start': events.find(({ name }) => name === 'server.started')?.durationMs,
    'run: session, registry, role': between(events, 'server.started', 'run.registered'),
    'run: hash of the migrations': between(events, 'run.registered', 'run.usesTemplate'),
    'run: template there, or built':
      between(events, 'run.usesTemplate', 'template.reused') ?? between(events, 'run.usesTemplate', 'template.built'),
    'each file: take a database': median(acquired.map(({ durationMs }) => durationMs)),
    'each file: put it back once more': median(resets.map(({ durationMs }) => durationMs)),
    'databases cloned': acquired.filter(({ created }) => created).length,
  }
}

try {
  await prepare()
  await run('none.config.js')
  await run('testdb.vitest.config.js')
  const measured = Object.fromEntries(Object.keys(ROWS).map((name) => [name, []]))
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [name, row] of Object.entries(ROWS)) {
      await row.before()
      measured[name].push(await run(row.config))
    }
  }
  report(measured)
} finally {
  try {
    testdb('down')
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

function report(measured) {
  const base = median(measured['no database'].map(({ ms }) => ms))
  const rows = Object.entries(measured).map(([name, rounds]) => {
    const ms = median(rounds.map((one) => one.ms))
    const middle = rounds.find((one) => one.ms === ms)
    return { name, ms, added: ms - base, share: (ms - base) / base, parts: parts(middle.events) }
  })
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ rounds: Number(options.rounds), rows }, null, 2)}\n`)
    return
  }
  console.log(`41 test files, no test run; medians of ${options.rounds} rounds\n`)
  for (const { name, ms, added, share } of rows) {
    const more =
      name === 'no database' ? '' : `  + ${added.toFixed(0).padStart(5)} ms  ${(share * 100).toFixed(1).padStart(5)} %`
    console.log(`  ${name.padEnd(22)}${(ms / 1000).toFixed(2).padStart(7)} s${more}`)
  }
  for (const row of rows.slice(1)) {
    console.log(`\n${row.name}, its median round, in ms`)
    for (const [part, value] of Object.entries(row.parts)) {
      if (value !== undefined) console.log(`  ${part.padEnd(34)}${Number.isInteger(value) ? value : value.toFixed(1)}`)
    }
  }
}
