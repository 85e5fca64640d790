/**
 * `npm run test:matrix [-- name…]`: the tests on other versions of Node, Postgres, Vitest, Jest and Knex.
 *
 * Names are those of the table that it prints, or the beginning of one (`pg14`). TESTDB_MATRIX=pairs takes each pair of versions that
 * matters, with more tests; =full every combination that can run, with all. TESTDB_MATRIX_REPORT names a file for the counts.
 */
import { writeFileSync } from 'node:fs'
import { describe, ENTRIES, type Entry, EVERYTHING, NODES, nameOf, PAIRS, SETS } from './entries.ts'
import { installNode, installSet, openStore } from './store.ts'
import { type Machine, runSuite, together } from './suites.ts'

interface Row {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
}

const names = process.argv.slice(2)
const lists: Readonly<Record<string, readonly Entry[]>> = { pairs: PAIRS, full: EVERYTHING }
const all = lists[process.env.TESTDB_MATRIX ?? ''] ?? ENTRIES
const chosen = names.length === 0 ? all : all.filter((entry) => names.some((name) => nameOf(entry).startsWith(name)))
const unknown = names.filter((name) => !all.some((entry) => nameOf(entry).startsWith(name)))
if (unknown.length > 0) {
  console.error(`no entry begins with ${unknown.join(', ')}; there are ${all.map(nameOf).join(', ')}`)
  process.exit(2)
}

const store = await openStore()
const installed = installInTurn()
const rows = await runInLanes()
printTable(rows)
const [passed, failed] = [sum('passed'), sum('failed')]
if (process.env.TESTDB_MATRIX_REPORT) {
  writeFileSync(
    process.env.TESTDB_MATRIX_REPORT,
    JSON.stringify({ numPassedTests: passed, numFailedTests: failed, entries: rows }),
  )
}
process.exitCode = failed > 0 ? 1 : 0

/** One after the other, ahead of the tests: to install is to wait for the network. */
function installInTurn(): ReadonlyMap<Entry, Promise<Machine>> {
  let last: Promise<unknown> = Promise.resolve()
  return new Map(
    chosen.map((entry) => {
      const install = last.then(async () => ({
        nodeBin: await installNode(store, NODES[entry.node]),
        home: await installSet(store, SETS[entry.set]),
      }))
      // The entry itself tells of a failure.
      last = install.catch(() => undefined)
      return [entry, install]
    }),
  )
}

/**
 * Two at a time, as most suites here are one file that waits for runners: one at a time leaves a third of two processors
 * idle. Never two in one home: each looks for what the other has left behind.
 */
async function runInLanes(): Promise<Row[]> {
  const homes = [...new Set(chosen.map(({ set }) => set))].values()
  const done = new Map<Entry, Row>()
  const lane = async (): Promise<void> => {
    for (const set of homes) {
      for (const entry of chosen.filter((one) => one.set === set)) done.set(entry, await runEntry(entry))
    }
  }
  await Promise.all([lane(), lane()])
  return chosen.flatMap((entry) => done.get(entry) ?? [])
}

async function runEntry(entry: Entry): Promise<Row> {
  const name = nameOf(entry)
  // Printed in one piece, as another entry runs beside it.
  const lines = [`${name}: ${describe(entry)}`]
  const startedAt = performance.now()
  const seconds = (since = startedAt): number => Math.round((performance.now() - since) / 1000)
  let row = { name, passed: 0, failed: 0, skipped: 0 }
  try {
    const place = await installed.get(entry)
    if (!place) throw new Error('bug: not installed')
    lines.push(`  installed (${seconds()} s)`)
    for (const suite of together(entry.suites)) {
      const since = performance.now()
      const outcome = await runSuite(suite, name, place)
      const what = `${suite.projects.join(', ')}${suite.files.length > 0 ? ` (${suite.files.join(' ')})` : ''}`
      if (outcome.output !== '') lines.push(outcome.output)
      lines.push(`  ${what}: ${outcome.passed} passed, ${outcome.failed} failed (${seconds(since)} s)`)
      for (const test of outcome.skipped) lines.push(`  SKIPPED: ${test}`)
      row = {
        name,
        passed: row.passed + outcome.passed,
        failed: row.failed + outcome.failed,
        skipped: row.skipped + outcome.skipped.length,
      }
    }
  } catch (error) {
    // What can not be installed is not supported: that is a failure and nothing to skip.
    lines.push(`  ${name} FAILED: ${error instanceof Error ? error.message : error}`)
    row = { ...row, failed: row.failed + 1 }
  }
  console.log(`\n${lines.join('\n')}`)
  return { ...row, seconds: seconds() }
}

function sum(key: 'passed' | 'failed' | 'skipped' | 'seconds'): number {
  return rows.reduce((total, row) => total + row[key], 0)
}

function printTable(lines: readonly Row[]): void {
  const cells = [
    ['entry', 'passed', 'failed', 'skipped', 'seconds'],
    ...lines.map((row) => [row.name, row.passed, row.failed, row.skipped, row.seconds].map(String)),
    ['together', sum('passed'), sum('failed'), sum('skipped'), sum('seconds')].map(String),
  ]
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? []
  console.log('')
  for (const line of cells) {
    console.log(
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
  }
}
