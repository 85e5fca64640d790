// Many processes meet an unmigrated database at once: testdb beside the retry loop that it replaces, same migrations, same run.
//
//   npm run build && node bench/migration-storm/main.mjs [--processes 41] [--seconds 15] [--takeovers 20] [--quick] [--json]
//
// The rival is what code bases without testdb do: one shared database, and in each process up to 5 tries, 2 s apart, each with
// forceFreeMigrationsLock() before migrate.latest(). It finds a running server and an empty database; testdb starts cold,
// without server and cache. Times are from the moment in which all processes, with their modules loaded, are let go, to the last
// answered query.
import { rm } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { storm } from './processes.mjs'
import { executions, makeProject } from './project.mjs'
import { breakdown, misses, print, summarize, wakeUps } from './report.mjs'
import { serverIn } from './servers.mjs'
import { takeovers } from './takeover.mjs'

const { values } = parseArgs({
  options: {
    processes: { type: 'string' },
    seconds: { type: 'string' },
    takeovers: { type: 'string' },
    /** Small numbers, to see that it works; the ratio to one pass says nothing then and is no target. */
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const { quick } = values
const options = {
  processes: Number(values.processes ?? (quick ? 6 : 41)),
  seconds: Number(values.seconds ?? (quick ? 2 : 15)),
  takeovers: Number(values.takeovers ?? (quick ? 3 : 20)),
  quick,
}
if (Object.values(options).some((value) => Number.isNaN(value))) throw new Error('numbers, please')
options.machine = { processors: availableParallelism(), load: loadavg()[0] }

// What the caller has set must not decide for either side.
for (const name of Object.keys(process.env))
  if (/^(TESTDB_|PG|STORM_|NODE_OPTIONS$)/.test(name)) delete process.env[name]

const note = (text) => void process.stderr.write(`${text}\n`)
const project = await makeProject(options.seconds)
const { home, root } = project
const servers = { rival: serverIn(home, root, 'rival'), testdb: serverIn(home, root, 'testdb') }
const counted = (name) => join(home, `${name}.executed`)

async function onServerOfRival(actor, count, database, env) {
  const url = await servers.rival.freshDatabase(database)
  const result = await storm(actor, count, { root, env: { STORM_URL: url, EXECUTED: counted(database), ...env } })
  return { ...result, executions: await executions(counted(database)) }
}

try {
  servers.rival.up()
  note('one pass alone …')
  const onePass = await onServerOfRival('rival', 1, 'one_pass', { STORM_TRIES: '1' })
  if (onePass.failed > 0) throw new Error(`one pass alone failed: ${JSON.stringify(onePass.errors)}`)
  note(`${options.processes} × retry loop …`)
  const rival = await onServerOfRival('rival', options.processes, 'shared', {})
  servers.rival.remove()

  note(`${options.processes} × testdb, cold …`)
  const env = { ...servers.testdb.env, EXECUTED: counted('testdb') }
  const cold = await storm('testdb', options.processes, { root, env })
  const testdb = {
    ...cold,
    executions: await executions(counted('testdb')),
    breakdown: breakdown(cold),
    wakeUp: wakeUps(cold),
  }
  note(`${options.processes} × nothing but a clone and a query …`)
  const bare = await storm('bare', options.processes, { root, env: await servers.testdb.template() })
  if (bare.failed > 0) throw new Error(`nothing but a clone and a query failed: ${JSON.stringify(bare.errors)}`)
  note(`${options.takeovers} × SIGKILL of the leader …`)
  const { times, followers } = await takeovers(options.takeovers, { root, env: { ...env, EXECUTED: '/dev/null' } })
  const takeover = times.length > 0 ? { followers, ...summarize(times) } : undefined

  const report = { options, onePass, rival, testdb, bare, takeover }
  if (values.json) {
    const plain = ({ processes, begunAt, ...rest }) => rest
    const missed = misses(report)
    console.log(
      JSON.stringify(
        { ...report, onePass: plain(onePass), rival: plain(rival), testdb: plain(testdb), bare: plain(bare), missed },
        null,
        2,
      ),
    )
  } else print(report)
  process.exitCode = misses(report).length > 0 ? 1 : 0
} finally {
  for (const server of Object.values(servers)) server.remove()
  await rm(home, { recursive: true, force: true })
}
