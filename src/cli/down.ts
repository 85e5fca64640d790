/** `testdb down`: stops the server that testdb has started, unless tests are using it. */
import { hasRegistry, liveRuns, type RunRow } from '../coordination/index.ts'
import { TestDbError } from '../errors.ts'
import { formatDuration } from '../report/format.ts'
import { stopEmbedded } from '../server/embedded/index.ts'
import { stopContainer } from '../server/testcontainers/index.ts'
import { type CommonOptions, openSession, printWarnings, runningServers } from './project.ts'
import type { Terminal } from './terminal.ts'
import { ourProject } from './up.ts'

export interface DownOptions extends CommonOptions {
  readonly force?: boolean
}

export async function down(options: DownOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const config = await ourProject(options, 'stopped')
  if (options.force !== true) {
    const runs: RunRow[] = []
    for (const { admin } of await runningServers(config)) {
      await using session = await openSession(admin)
      if (await hasRegistry(session)) runs.push(...(await liveRuns(session)))
    }
    if (runs.length > 0) throw active(runs)
  }
  // Asked also when none was found: it ends one that does not answer, and takes back what `up` said.
  const { root, server } = config
  const isContainer = server.kind === 'testcontainers'
  const stopped = isContainer
    ? await stopContainer({ projectRoot: root, image: server.image })
    : await stopEmbedded({ projectRoot: root })
  const name = isContainer ? 'The container' : 'The embedded server'
  terminal.out(stopped ? `${name} is stopped.` : `${name} is not running.`)
  return 0
}

function active(runs: readonly RunRow[]): TestDbError {
  const names = runs.map(describeRun).join('; ')
  const what = runs.length === 1 ? '1 run is active' : `${runs.length} runs are active`
  return new TestDbError('TESTDB_RUN_ACTIVE', `${what}: ${names}`, { details: { runs } })
}

/** `vitest in shop (pid 4711 on ci-7, for 42.0 s)`. */
export function describeRun({ runner, project, pid, host, ageSeconds }: RunRow): string {
  return `${runner} in ${project} (pid ${pid} on ${host}, for ${formatDuration(ageSeconds * 1000)})`
}
