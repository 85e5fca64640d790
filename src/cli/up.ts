/** `testdb up`: starts the embedded server or the container, and keeps it until `testdb down`. */
import type { ResolvedConfig } from '../config/config.ts'
import { noServer } from '../open-server.ts'
import { showProgress } from '../report/progress.ts'
import { keepEmbedded } from '../server/embedded/index.ts'
import { keepContainer } from '../server/testcontainers/index.ts'
import { Refusal } from './describe-error.ts'
import { type CommonOptions, loadProject } from './project.ts'
import type { Terminal } from './terminal.ts'

export async function up(options: CommonOptions, terminal: Terminal): Promise<number> {
  const endProgress = showProgress()
  try {
    const { root, idle, server } = await ourProject(options, 'started')
    const common = { projectRoot: root, idleMs: idle }
    const kept =
      server.kind === 'embedded'
        ? await keepEmbedded({ ...common, storage: server.storage ?? 'auto', port: server.port })
        : await keepContainer({ ...common, image: server.image })
    endProgress()
    terminal.out(kept.summary)
    terminal.out('It runs until you type: npx testdb down')
    return 0
  } finally {
    endProgress()
  }
}

type OurKind = Extract<ResolvedConfig['server'], { kind: 'embedded' | 'testcontainers' }>
type OurConfig = ResolvedConfig & { readonly server: OurKind }

/** Servers of a URL belong to somebody else. */
export async function ourProject(options: CommonOptions, done: 'started' | 'stopped'): Promise<OurConfig> {
  const config = await loadProject(options)
  if (isOurs(config)) return config
  if (config.server.kind === 'pg-mem') throw noServer()
  const source = config.origins['server.url'] === 'environment' ? 'TESTDB_URL' : 'server.url'
  throw new Refusal(
    `The server of this project is given by ${source}: testdb does not manage it, so it can not be ${done} here.\n` +
      '  1. Start and stop it where it was set up.\n' +
      `  2. Or ${source === 'TESTDB_URL' ? 'unset TESTDB_URL' : "set `server: { kind: 'embedded' }`"} to use the embedded server.\n` +
      '  3. Run `npx testdb doctor` to see whether it can be reached.',
  )
}

function isOurs(config: ResolvedConfig): config is OurConfig {
  return config.server.kind === 'embedded' || config.server.kind === 'testcontainers'
}
