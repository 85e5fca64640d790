/** Reports of runs that have never been, of any size. */
import type { EventName, Events } from '../../src/events.ts'
import { collect } from '../../src/report/collect.ts'
import type { Entry } from '../../src/report/read-log.ts'
import type { RunReport } from '../../src/report/run-report.ts'

/** As a test's name. */
export const NASTY = '</script><img src=x onerror=alert(1)>'

const START = 1_796_008_500_000
const SUMMARY = 'embedded PostgreSQL 18.4 on port 43783, data in memory'
const QUERY =
  'select o.*, c.name from orders o join customers c on c.id = o.customer_id where o.state = $1 and not exists (select from payments p where p.order_id = o.id)'

/** The same numbers each time. */
function numbers(): () => number {
  let seed = 7
  return () => {
    seed = (seed * 16_807) % 2_147_483_647
    return seed / 2_147_483_647
  }
}

class Log {
  readonly entries: Entry[] = []

  add<N extends EventName>(atMs: number, process: string, event: N, payload: Events[N]): void {
    const pid = process === 'main' ? 1 : 100 + Number(process.split(' ')[1])
    this.entries.push({ at: START + atMs, atMs, process, pid, event, ...payload } as unknown as Entry)
  }

  get report(): RunReport {
    return collect(
      '20261130T031500-4711',
      START,
      this.entries.sort((a, b) => a.at - b.at),
      false,
    )
  }
}

interface Size {
  readonly files: number
  readonly workers: number
  readonly problems: boolean
}

export function run({ files, workers, problems }: Size): RunReport {
  const log = new Log()
  const random = numbers()
  const ready = begin(log, random, problems)
  log.add(ready, 'main', 'run.ready', { slots: workers, poolMax: 10, connectionLimit: 24 })
  const free = Array.from({ length: workers }, () => ready + 300 + random() * 300)
  for (let n = 0; n < files; n++) {
    const at = Math.min(...free)
    const worker = free.indexOf(at)
    free[worker] = at + 15 + oneFile(log, random, { n, at, worker: worker + 1, first: n < workers, problems })
  }
  const end = Math.max(...free)
  for (let at = 950; at < end; at += Math.min(500, Math.max(100, at / 50))) {
    const names = at < ready + 400 ? [] : free.map((_, i) => `testdb_shop_${i + 1}`)
    const databases = names.map((name) => ({ name, connections: 2 + Math.floor(random() * 6), limit: 24 }))
    const total = 2 + databases.reduce((sum, { connections }) => sum + connections, 0)
    const elapsedMs = 300 + (at % 1_000) * 2
    const isSlow = problems && Math.floor(at / 1_000) % 9 === 3 && names.length > 0
    const statement = {
      pid: 9,
      database: 'testdb_shop_1',
      applicationName: 'api',
      query: QUERY,
      elapsedMs,
      waitsFor: null,
    }
    log.add(at, 'main', 'connections.sampled', {
      total,
      limit: problems ? 97 : 1_497,
      databases,
      slow: isSlow ? [statement] : [],
    })
  }
  log.add(end + 200, 'main', 'run.finished', {})
  return log.report
}

function begin(log: Log, random: () => number, problems: boolean): number {
  const template = 'testdb_t_6e9a8ae589cab5d9'
  log.add(0, 'main', 'run.started', { runner: 'vitest', project: 'shop-api', root: '/app', pid: 1 })
  log.add(900, 'main', 'server.started', { summary: SUMMARY, durationMs: 900, attached: false })
  log.add(905, 'main', 'server.connected', { kind: 'embedded', summary: SUMMARY })
  let at = 1_000
  for (let n = 0; problems && n < 8; n++, at += 250) {
    const step = { name: '2024_users.js', index: 3, total: 60 }
    log.add(at, 'main', 'leader.waiting', {
      template,
      leader: { pid: 4711, host: 'ci-7' },
      step,
      elapsedMs: n * 250 + 60,
    })
  }
  log.add(at, 'main', 'leader.elected', { template, waitedMs: 2_000, takeover: problems })
  const begun = at
  for (let index = 1; index <= 60; index++) {
    const durationMs = 20 + random() * (index === 40 ? 900 : 60)
    const step = { name: `2024${String(index).padStart(4, '0')}_do_something_${index}.js`, index, total: 60 }
    log.add(at, 'main', 'migration.started', step)
    at += durationMs
    log.add(at, 'main', 'migration.finished', { ...step, durationMs })
  }
  log.add(at, 'main', 'template.built', { template, migrations: 60, durationMs: at - begun })
  return at + 50
}

interface File {
  readonly n: number
  readonly at: number
  readonly worker: number
  readonly first: boolean
  readonly problems: boolean
}

/** Returns how long it took (ms). */
function oneFile(log: Log, random: () => number, { n, at, worker, first, problems }: File): number {
  const name = `worker ${worker}`
  const database = `testdb_shop_${worker}`
  const file = `/app/src/modules/m${n % 20}/thing-${n}.test.ts`
  const took = 200 + random() ** 4 * 6_000
  if (first) log.add(at - 5, name, 'database.created', { database, durationMs: 80 })
  log.add(at, name, 'database.acquired', { database, created: first, durationMs: first ? 90 : 8 })
  log.add(at + 5, name, 'file.started', { file, database })
  for (let k = 0; k < 10; k++) {
    const strategy = random() > 0.02 ? 'rows' : 'clone'
    log.add(at + (took * k) / 10, name, 'database.reset', { database, strategy, durationMs: 0.4 + random() ** 6 * 20 })
  }
  if (problems && n % 37 === 0) {
    const isError = n % 2 === 0
    const message =
      'a session of this test sits in a transaction\n  pid 4711 "api", last query: update orders set state = $1'
    const test = isError ? `creates an order ${NASTY} ${n}` : undefined
    const [guard, level] = isError ? (['idleInTransaction', 'error'] as const) : (['openPool', 'warn'] as const)
    log.add(at + took * 0.7, name, 'finding.raised', { guard, level, test, file, message, details: {} })
  }
  const waited = { count: 40, failed: 0, totalMs: 60, maxMs: 5 + random() * 30, slow: 0, critical: 0, peak: 6 }
  log.add(at + took, name, 'acquires.counted', waited)
  log.add(at + took, name, 'file.finished', { file })
  log.add(at + took + 3, name, 'database.released', { database })
  return took
}

/** A lock that nobody gives back. */
export function failedStart(): RunReport {
  const log = new Log()
  log.add(0, 'main', 'run.started', { runner: 'jest', project: 'shop-api', root: '/app', pid: 1 })
  log.add(120, 'main', 'server.connected', { kind: 'url', summary: 'PostgreSQL 16.3 at db:5432/app_test' })
  log.add(300, 'main', 'leader.elected', { template: 'app_test', waitedMs: 0, takeover: false })
  const table = 'knex_migrations_lock'
  const holders = [
    'pid 42 (psql, user app, connected for 4000 s, idle in transaction: alter table orders add column note text)',
  ]
  for (let at = 400; at < 90_000; at += 250) {
    const elapsedMs = at - 400
    const severity = elapsedMs > 60_000 ? 'critical' : elapsedMs > 30_000 ? 'warning' : 'info'
    log.add(at, 'main', 'lock.waiting', { table, holders, elapsedMs, severity })
    if (at % 500 === 400) {
      const databases = [{ name: 'app_test', connections: 3 + (at % 3), limit: -1 }]
      log.add(at, 'main', 'connections.sampled', { total: 5 + (at % 3), limit: 97, databases, slow: [] })
    }
  }
  const message = `the lock in ${table} of app_test is held: is_locked is 1, still after 90 s of waiting, by ${holders[0]}`
  log.add(90_400, 'main', 'template.failed', { template: 'app_test', message })
  log.add(90_410, 'main', 'run.failed', { code: 'TESTDB_MIGRATION_LOCKED', message })
  log.add(90_420, 'main', 'run.finished', {})
  return log.report
}
