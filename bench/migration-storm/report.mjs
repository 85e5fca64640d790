// Turns what the processes said into numbers, and the numbers into a table.

import { percentile } from './processes.mjs'
import { MIGRATIONS } from './project.mjs'

/** The targets of the project; a ratio or a time above its target makes the exit code 1. */
export const TARGETS = { wallRatio: 1.15, takeoverMs: 1_000 }

/** What the wall time of testdb consists of, on the longest way: start → leader → seal → last database. */
export function breakdown({ begunAt, processes, wallMs }) {
  const leader = processes.find(({ times }) => 'build.sealed' in times)
  if (!leader) return undefined
  const { times } = leader
  const ends = {
    'server is made and started': times['server.started'],
    'registry, role, run, template row': times['leader.elected'],
    'staging database, first migration': times['migration.started'],
    'migration pass': times['build.migrated'],
    seal: times['build.sealed'],
  }
  const parts = {}
  let last = begunAt
  for (const [part, at] of Object.entries(ends)) {
    parts[part] = at - last
    last = at
  }
  parts['clones for all processes, one query each'] = begunAt + wallMs - last
  return parts
}

/** From right before the commit of the seal, which is a little before anybody can know, to the follower having its template. */
export function wakeUps({ processes }) {
  const sealedAt = processes.find(({ times }) => 'build.sealing' in times)?.times['build.sealing']
  const waited = processes.filter(({ times }) => 'leader.waiting' in times && 'template.reused' in times)
  const times = waited.map(({ times: own }) => own['template.reused'] - sealedAt)
  return { followers: times.length, p50: percentile(times, 50), p95: percentile(times, 95), max: Math.max(...times) }
}

export function summarize(times) {
  return { rounds: times.length, p50: percentile(times, 50), p95: percentile(times, 95), max: Math.max(...times) }
}

export function misses(report) {
  const { testdb, takeover, onePass, options } = report
  const missed = []
  if (testdb.failed > 0) missed.push(`${testdb.failed} of ${options.processes} processes failed with testdb`)
  if (!testdb.executions.exactlyOnce) missed.push(`${testdb.executions.total} executions of ${MIGRATIONS} migrations`)
  const ratio = testdb.wallMs / onePass.wallMs
  if (!options.quick && ratio > TARGETS.wallRatio) missed.push(`wall time ${ratio.toFixed(2)} of one pass`)
  if (takeover && takeover.max > TARGETS.takeoverMs) missed.push(`a takeover took ${Math.round(takeover.max)} ms`)
  return missed
}

export function print(report) {
  const { options, onePass, rival, testdb, bare, takeover } = report
  const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`
  const ms = (value) => (value === undefined ? 'none' : `${value.toFixed(value < 10 ? 1 : 0)} ms`)
  const row = (name, ...cells) =>
    console.log(`  ${name.padEnd(34)}${cells.map((cell) => String(cell).padStart(16)).join('')}`)
  console.log(
    `\n${options.processes} processes at once, ${MIGRATIONS} Knex migrations of ${seconds((options.seconds * 1000) / MIGRATIONS)} and a table each\n`,
  )
  row('', 'retry loop', 'testdb')
  row('passed', rival.passed, testdb.passed)
  row('failed', rival.failed, testdb.failed)
  row('wall time', seconds(rival.wallMs), seconds(testdb.wallMs))
  row(
    '  of one pass alone',
    `${(rival.wallMs / onePass.wallMs).toFixed(2)} ×`,
    `${(testdb.wallMs / onePass.wallMs).toFixed(2)} ×`,
  )
  row(`executions of ${MIGRATIONS} migrations`, rival.executions.total, testdb.executions.total)
  row('databases', '1, shared', `${testdb.passed}, own`)
  row('server', 'was running', 'cold')
  for (const [error, count] of Object.entries(rival.errors)) console.log(`    retry loop, ${count} ×: ${error}`)
  for (const [error, count] of Object.entries(testdb.errors)) console.log(`    testdb, ${count} ×: ${error}`)
  const { load, processors } = options.machine
  console.log(
    `\nMachine: ${processors} processors, load ${load.toFixed(1)} before${load > processors / 2 ? ' (busy: read the ratios with care)' : ''}`,
  )
  console.log(`One pass alone, one process with plain Knex on a running server: ${seconds(onePass.wallMs)}`)
  if (testdb.breakdown) {
    console.log('\nWhere the wall time of testdb went')
    for (const [part, value] of Object.entries(testdb.breakdown)) row(part, seconds(value))
    console.log(
      `  (${options.processes} × nothing but \`create database\` from that template and one query, on the running server: ${seconds(bare.wallMs)})`,
    )
  }
  const { wakeUp } = testdb
  console.log(`\nFrom the commit of the seal to the follower having its template (${wakeUp.followers} followers)`)
  row('p50 · p95 · max', ms(wakeUp.p50), ms(wakeUp.p95), ms(wakeUp.max))
  if (takeover) {
    console.log(
      `\nFrom SIGKILL of the leader in a migration to the next leader (${takeover.rounds} rounds, ${takeover.followers} waiting)`,
    )
    row('p50 · p95 · max', ms(takeover.p50), ms(takeover.p95), ms(takeover.max))
  }
  const missed = misses(report)
  console.log(missed.length === 0 ? '\nAll targets are met.' : `\nMissed: ${missed.join('; ')}`)
}
