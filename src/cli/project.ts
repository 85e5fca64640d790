/** What most commands begin with: the project's configuration, and its server without starting one that nobody has used. */
import { withChosenServer } from '../choose-server.ts'
import type { ResolvedConfig, TestDbConfig } from '../config/config.ts'
import { resolveConfig } from '../config/resolve.ts'
import { messageOf, TestDbError } from '../errors.ts'
import { subscribe } from '../events.ts'
import { openServer } from '../open-server.ts'
import { type ConnectionTarget, describeTarget, Session } from '../postgres/index.ts'
import { oneLine } from '../report/format.ts'
import { chooseAccount } from '../server/embedded/account.ts'
import { embeddedStatus } from '../server/embedded/index.ts'
import { existingLayouts } from '../server/embedded/locations.ts'
import { adminTarget } from '../server/embedded/state-file.ts'
import { findServer } from '../server/embedded/status.ts'
import { assertRegistry } from '../server/rights.ts'
import type { Server } from '../server/server.ts'
import { type ContainerStatus, containerStatus } from '../server/testcontainers/index.ts'
import { adminTarget as containerTarget } from '../server/testcontainers/state.ts'
import type { Terminal } from './terminal.ts'

export interface CommonOptions {
  readonly config?: string
  readonly cwd?: string
}

/** `overrides` win over environment, file and defaults. */
export async function loadProject(
  { config, cwd }: CommonOptions,
  overrides: TestDbConfig = {},
): Promise<ResolvedConfig> {
  const file = config === undefined ? {} : { configFile: config }
  return withChosenServer(await resolveConfig({ cwd: cwd ?? process.cwd(), options: overrides, ...file }))
}

/** For commands without progress lines: warnings of the modules below must not get lost. */
export function printWarnings(terminal: Terminal): void {
  subscribe('warning.raised', ({ message }) => terminal.err(`testdb: warning: ${oneLine(message)}`))
}

/**
 * The project's server; an embedded one is started when its data is there. Undefined when it has never been started, or is a
 * container that is gone: then there is nothing to heal or to prune either.
 */
export async function openKnownServer(config: ResolvedConfig): Promise<Server | undefined> {
  if (config.server.kind === 'embedded' && (await embeddedStatus({ projectRoot: config.root })).length === 0) {
    return undefined
  }
  if (config.server.kind === 'testcontainers' && (await containerOf(config)).found === undefined) return undefined
  const server = await openServer(config)
  assertRegistry(server)
  return server
}

export interface RunningServer {
  readonly major: number
  readonly admin: ConnectionTarget
}

/** The container of a project that is configured to have one. */
export async function containerOf({ root, server }: ResolvedConfig): Promise<ContainerStatus> {
  return await containerStatus({
    projectRoot: root,
    image: server.kind === 'testcontainers' ? server.image : undefined,
  })
}

/** The project's servers of ours that run right now, embedded one at most for each Postgres major; starts none. */
export async function runningServers(config: ResolvedConfig): Promise<RunningServer[]> {
  if (config.server.kind === 'testcontainers') {
    const { found } = await containerOf(config)
    return found === undefined ? [] : [{ major: found.major, admin: containerTarget(found.state) }]
  }
  const running: RunningServer[] = []
  for (const layout of await existingLayouts({ projectRoot: config.root }, chooseAccount())) {
    const found = await findServer(layout)
    if (found !== undefined) running.push({ major: found.major, admin: adminTarget(found.state) })
  }
  return running
}

/**
 * Connects the way every testdb process coordinates: under this name a session is known to migrate nothing, so that it is
 * never taken for the holder of a migration lock. Throws `TESTDB_SERVER_UNREACHABLE`.
 */
export async function openSession(target: ConnectionTarget): Promise<Session> {
  try {
    return await Session.open(target, { applicationName: 'testdb coordination' })
  } catch (cause) {
    const what = `no connection to ${describeTarget(target)}: ${messageOf(cause) || 'unknown reason'}`
    throw new TestDbError('TESTDB_SERVER_UNREACHABLE', what, { cause })
  }
}
