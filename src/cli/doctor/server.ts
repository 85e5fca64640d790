/** Can the server be started or reached? The only proof is to do it. */
import { statfs } from 'node:fs/promises'
import type { ResolvedConfig } from '../../config/config.ts'
import { openServer } from '../../open-server.ts'
import { PG_MEM_LIMITS } from '../../pg-mem-run.ts'
import { formatDuration } from '../../report/format.ts'
import { chooseAccount } from '../../server/embedded/account.ts'
import { assertCanRun, findBinaries } from '../../server/embedded/binaries.ts'
import { embeddedStatus } from '../../server/embedded/index.ts'
import { resolveCache } from '../../server/embedded/locations.ts'
import { findPgMem } from '../../server/pg-mem/package.ts'
import type { Server } from '../../server/server.ts'
import { containerOf } from '../project.ts'
import { type Check, fromError, ok, skipped, warning } from './check.ts'

/** Below this a handful of clones of a large application (42 MB each), their WAL and a build do not fit. */
const LOW_SPACE = 1024 ** 3

export interface ServerChecks {
  readonly checks: readonly Check[]
  /** Undefined when it can not be used. */
  readonly server: Server | undefined
}

export async function checkServer(config: ResolvedConfig): Promise<ServerChecks> {
  if (config.server.kind === 'pg-mem') return { checks: [checkPgMem(config)], server: undefined }
  const before = config.server.kind === 'embedded' ? await checkEmbedded(config) : []
  if (before.some(({ status }) => status === 'error')) {
    return { checks: [...before, skipped('server', 'the embedded server was not started')], server: undefined }
  }
  try {
    const running = await isRunning(config)
    const server = await openServer(config)
    const checks = [...before, ok('server', `${server.summary}${howStarted(config, running)}`)]
    return { checks: server.kind === 'embedded' ? [...checks, await checkSpace(config)] : checks, server }
  } catch (error) {
    return { checks: [...before, fromError('server', error)], server: undefined }
  }
}

/** That its migrations can be run by it shows when they are. */
function checkPgMem({ root }: ResolvedConfig): Check {
  try {
    return ok('server', `no server; pg-mem ${findPgMem(root).version} in each process. ${PG_MEM_LIMITS}`)
  } catch (error) {
    return fromError('server', error)
  }
}

async function checkEmbedded({ root }: ResolvedConfig): Promise<Check[]> {
  return [
    await attempt('binaries', () => {
      const { version, native } = findBinaries(root)
      assertCanRun()
      return `PostgreSQL ${version} binaries in ${native}`
    }),
    await attempt('account', () => {
      const account = chooseAccount()
      return account === undefined
        ? 'Postgres runs as the current user'
        : `Postgres runs as ${account.name} (this is root)`
    }),
    await attempt('cache', async () => `cache folder ${await resolveCache({ projectRoot: root }, chooseAccount())}`),
  ]
}

async function attempt(id: string, look: () => string | Promise<string>): Promise<Check> {
  try {
    return ok(id, await look())
  } catch (error) {
    return fromError(id, error)
  }
}

async function isRunning(config: ResolvedConfig): Promise<boolean> {
  if (config.server.kind === 'url') return true
  if (config.server.kind === 'testcontainers') return (await containerOf(config)).found !== undefined
  return (await embeddedStatus({ projectRoot: config.root })).some(({ running }) => running)
}

function howStarted({ server, idle }: ResolvedConfig, running: boolean): string {
  if (server.kind === 'url') return ''
  return running
    ? ', running already'
    : `, started for this check (it stops by itself when idle for ${formatDuration(idle)})`
}

async function checkSpace({ root }: ResolvedConfig): Promise<Check> {
  const found = (await embeddedStatus({ projectRoot: root })).find(({ running }) => running)
  if (found?.dataDir === undefined) return skipped('space', 'free space is not known')
  const { bavail, bsize } = await statfs(found.dataDir).catch(() => statfs(found.cacheDir))
  const where = found.storage === 'memory' ? 'memory' : 'disk'
  const text = `${((Number(bavail) * Number(bsize)) / 1024 ** 3).toFixed(1)} GB free for data on ${where}`
  if (Number(bavail) * Number(bsize) >= LOW_SPACE) return ok('space', text)
  return warning('space', text, 'npx testdb prune', 'Set TESTDB_CACHE_DIR to a folder on a larger disk.')
}
