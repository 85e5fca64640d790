/** `testdb prune`: removes templates and databases that no live run uses, those of every project on the server. */
import { hasRegistry } from '../coordination/index.ts'
import { previewSweep, type SweepScope, sweep } from '../templates/sweep.ts'
import { type CommonOptions, loadProject, openKnownServer, openSession, printWarnings } from './project.ts'
import type { Terminal } from './terminal.ts'

export interface PruneOptions extends CommonOptions {
  readonly keepDays: number
  readonly dryRun?: boolean
}

/** Any number of templates may stay when they are young enough: as good as infinite for an `int` of Postgres. */
const ANY_NUMBER = 2 ** 31 - 1

export async function prune(options: PruneOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const { keepDays, dryRun = false } = options
  const server = await openKnownServer(await loadProject(options))
  if (server === undefined) {
    terminal.out('The server does not run, and has no data: nothing to remove.')
    return 0
  }
  await using session = await openSession(server.admin)
  const scope: SweepScope = { retention: { perProject: keepDays === 0 ? 0 : ANY_NUMBER, days: keepDays } }
  const { dropped } = (await hasRegistry(session))
    ? await (dryRun ? previewSweep : sweep)(session, scope)
    : { dropped: [] }
  for (const name of dropped) terminal.out(`${dryRun ? 'would remove' : 'removed'} ${name}`)
  const count = dropped.length === 1 ? '1 database' : `${dropped.length} databases`
  terminal.out(dryRun ? `${count} would be removed.` : `${count} removed.`)
  return 0
}
