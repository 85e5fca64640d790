/**
 * `testdb run -- CMD`: a migrated database for any command.
 *
 * Until the command is started a signal simply ends this process: the server frees the lease and the run with their sessions.
 * From then on signals are the command's; we wait for it, whatever it does, and give the database back.
 */
import { acquireDatabase, databaseEnvironment } from '../acquire.ts'
import type { WorkerDatabase } from '../databases/database.ts'
import { noServer } from '../open-server.ts'
import { endSessions } from '../postgres/index.ts'
import { showProgress } from '../report/progress.ts'
import { ANCESTORS_VARIABLE, withAncestor } from '../run-budget.ts'
import { startRun } from '../start-run.ts'
import { runChild } from './child.ts'
import { describeError } from './describe-error.ts'
import { type CommonOptions, loadProject } from './project.ts'
import type { Terminal } from './terminal.ts'

export async function run(words: readonly string[], options: CommonOptions, terminal: Terminal): Promise<number> {
  const endProgress = showProgress()
  const config = await loadProject(options)
  // The memory of this process is no use to another one.
  if (config.server.kind === 'pg-mem') throw noServer()
  const active = await startRun(config, { runner: 'run', slots: 1 })
  let code = 1
  try {
    const database = await active.lend((lent) => acquireDatabase(active.context, { slot: 'run', lent }))
    if (config.env === false) terminal.err('testdb: `env` is false, so the command is not told where its database is')
    // From here on the terminal is the command's.
    endProgress()
    const inside = { [ANCESTORS_VARIABLE]: withAncestor(active.context.admin, active.context.runId) }
    const env = { ...process.env, ...databaseEnvironment(active.context, database), ...inside }
    code = await runChild(words, { env, cwd: options.cwd ?? process.cwd() }, terminal)
    try {
      await giveBack(database)
    } catch (error) {
      // What the command says counts, but a command that lost its database meanwhile has not succeeded.
      terminal.err(describeError(error, { stack: process.env.TESTDB_LOG === 'debug' }))
      code = code === 0 ? 1 : code
    }
  } finally {
    endProgress()
    await active.close()
  }
  return code
}

/** What the command left running would write into the next test, and its locks would keep the reset waiting. */
async function giveBack(database: WorkerDatabase): Promise<void> {
  try {
    for (const { lease } of database.all) if (lease) await endSessions(lease.session, lease.name)
  } finally {
    await database.release()
  }
}
