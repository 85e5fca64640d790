/** Turns the configured kind of server into a running one. */
import type { ResolvedConfig } from './config/config.ts'
import { startEmbedded } from './server/embedded/embedded.ts'
import type { Server } from './server/server.ts'
import { connectUrl } from './server/url.ts'

export async function openServer(config: ResolvedConfig): Promise<Server> {
  const { server } = config
  if (server.kind === 'url') return connectUrl({ url: server.url ?? '', allow: server.allow === true })
  return startEmbedded({
    projectRoot: config.root,
    storage: server.storage ?? 'auto',
    idleMs: config.idle,
    ...(server.port === undefined ? {} : { port: server.port }),
  })
}
