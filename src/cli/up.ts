/** `testdb up`: starts the embedded server and keeps it until `testdb down`. */
import type { ResolvedConfig } from '../config/config.ts'
import { showProgress } from '../report/progress.ts'
import { keepEmbedded } from '../server/embedded/index.ts'
import { Refusal } from './describe-error.ts'
import { type CommonOptions, loadProject } from './project.ts'
import type { Terminal } from './terminal.ts'

export async function up(options: CommonOptions, terminal: Terminal): Promise<number> {
  const endProgress = showProgress()
  try {
    const { root, idle, server } = await embeddedProject(options, 'started')
    const kept = await keepEmbedded({
      projectRoot: root,
      idleMs: idle,
      storage: server.storage ?? 'auto',
      port: server.port,
    })
    endProgress()
    terminal.out(kept.summary)
    terminal.out('It runs until you type: npx testdb down')
    return 0
  } finally {
    endProgress()
  }
}

type EmbeddedConfig = ResolvedConfig & { readonly server: Extract<ResolvedConfig['server'], { kind: 'embedded' }> }

/** Servers of a URL belong to somebody else. */
export async function embeddedProject(options: CommonOptions, done: 'started' | 'stopped'): Promise<EmbeddedConfig> {
  const config = await loadProject(options)
  if (isEmbedded(config)) return config
  const source = config.origins['server.url'] === 'environment' ? 'TESTDB_URL' : 'server.url'
  throw new Refusal(
    `The server of this project is given by ${source}: testdb does not manage it, so it can not be ${done} here.\n` +
      '  1. Start and stop it where it was set up.\n' +
      `  2. Or ${source === 'TESTDB_URL' ? 'unset TESTDB_URL' : "set `server: { kind: 'embedded' }`"} to use the embedded server.\n` +
      '  3. Run `npx testdb doctor` to see whether it can be reached.',
  )
}

function isEmbedded(config: ResolvedConfig): config is EmbeddedConfig {
  return config.server.kind === 'embedded'
}
