/**
 * Where things lie: the cache folder, and in it one folder per Postgres major with everything that is remembered.
 *
 *   <cache>/pg18/state.json      how to reach the running server (0600)
 *   <cache>/pg18/start.lock      held while starting or stopping (proper-lockfile); start.lock.holder says by whom
 *   <cache>/pg18/keep            there while `testdb up` wants the server to stay
 *   <cache>/pg18/server.log      Postgres' own log     <cache>/pg18/supervisor.log
 *   <cache>/pg18/cluster/        the data, when it is on disk; else /dev/shm/testdb-<uid>-<hash>/pg18/
 *   <cache>/pg18/lib-…, native-… repaired links and copies of the binaries, when they are needed
 */
import { createHash } from 'node:crypto'
import { access, constants, readdir, realpath, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { cacheError, errnoOf, makeFolders, makeOwnFolder } from '../owned/folders.ts'
import { type Account, canReach, ENTER } from './account.ts'
import { findWorkspaceRoot } from './workspace.ts'

export interface CacheOptions {
  /** The user's project: the folder with the package.json. */
  readonly projectRoot: string
  /** Replaces the cache folder. @default TESTDB_CACHE_DIR, else `node_modules/.cache/testdb` of the workspace root */
  readonly cacheDir?: string | undefined
}

/** The files of one server (one cache folder, one major). */
export interface Layout {
  readonly cacheDir: string
  readonly folder: string
  /** Short name of this cache folder on this machine; part of every path outside of it. */
  readonly id: string
  readonly major: number
  readonly state: string
  readonly lock: string
  readonly keep: string
  readonly serverLog: string
  readonly supervisorLog: string
  readonly diskCluster: string
  readonly memoryCluster: string
}

export const MEMORY_ROOT = '/dev/shm'

/** Where the cache was asked to be, before looking whether it can be there. */
function wantedCache(options: CacheOptions): { folder: string; explicit: boolean } {
  const explicit = options.cacheDir ?? (process.env.TESTDB_CACHE_DIR || undefined)
  if (explicit !== undefined) return { folder: path.resolve(options.projectRoot, explicit), explicit: true }
  return {
    folder: path.join(findWorkspaceRoot(options.projectRoot), 'node_modules', '.cache', 'testdb'),
    explicit: false,
  }
}

/**
 * Tells whether a path has a character that Postgres can not have everywhere: initdb hands its own path to a shell in double
 * quotes, the library path ends at `:` and `;` and replaces `$`, and `postmaster.pid` has one path per line.
 */
export function isOdd(folder: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return process.platform !== 'win32' && /["`$\\:;\x00-\x1f\x7f]/.test(folder)
}

/**
 * Makes the cache folder and gives its real path.
 *
 * A per-user folder under the temporary directory takes its place when the Postgres account can not enter it (below a home
 * folder with mode 0700, as root), when its path has an odd character, or when it is the default and read-only
 * (`node_modules` of an image) or another user's (`sudo`, a container on the host's files). Every process of one user gets
 * the same answer: it depends on the folder alone.
 */
export async function resolveCache(options: CacheOptions, account: Account | undefined): Promise<string> {
  const { folder, explicit } = wantedCache(options)
  try {
    await makeFolders(folder)
    await access(folder, constants.W_OK | constants.X_OK)
    const real = await realpath(folder)
    const foreign = !explicit && process.getuid !== undefined && (await stat(real)).uid !== process.getuid()
    if (!foreign && !isOdd(real) && (account === undefined || canReach(real, account, ENTER))) return real
  } catch (error) {
    const errno = errnoOf(error)
    const readOnly = errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS'
    if (explicit || !readOnly) throw cacheError(error, folder)
  }
  const instead = replacementOf(folder, account)
  try {
    await makeOwnFolder(instead, passThrough(account))
    return await realpath(instead)
  } catch (error) {
    throw cacheError(error, instead)
  }
}

function replacementOf(folder: string, account: Account | undefined): string {
  return path.join(tmpdirFor(account), `testdb-${userId()}-${shortHash(folder)}`)
}

/** The layouts of every major that has ever been started, without making anything: for looking and stopping. */
export async function existingLayouts(options: CacheOptions, account: Account | undefined): Promise<Layout[]> {
  const { folder } = wantedCache(options)
  const layouts: Layout[] = []
  for (const candidate of [folder, replacementOf(folder, account)]) {
    try {
      const real = await realpath(candidate)
      for (const name of await readdir(real)) {
        const major = /^pg(\d+)$/.exec(name)?.[1]
        if (major !== undefined) layouts.push(layoutOf(real, Number(major)))
      }
    } catch {
      // Not there, or not ours to read: then no server of ours is in it.
    }
  }
  return layouts
}

/** Names the files of one major; makes nothing. */
export function layoutOf(cacheDir: string, major: number): Layout {
  const folder = path.join(cacheDir, `pg${major}`)
  const id = shortHash(cacheDir)
  return {
    cacheDir,
    folder,
    id,
    major,
    state: path.join(folder, 'state.json'),
    lock: path.join(folder, 'start.lock'),
    keep: path.join(folder, 'keep'),
    serverLog: path.join(folder, 'server.log'),
    supervisorLog: path.join(folder, 'supervisor.log'),
    diskCluster: path.join(folder, 'cluster'),
    memoryCluster: path.join(MEMORY_ROOT, `testdb-${userId()}-${id}`, `pg${major}`),
  }
}

/** Mode of our folders: private, but when Postgres runs as another user that one must be able to pass through. */
export function passThrough(account: Account | undefined): number {
  return account === undefined ? 0o700 : 0o711
}

/** The temporary directory, or /tmp where Postgres can not use the former (TMPDIR below a home folder, or with an odd name). */
export function tmpdirFor(account: Account | undefined): string {
  const folder = os.tmpdir()
  if (isOdd(folder)) return '/tmp'
  return account === undefined || canReach(folder, account, ENTER) ? folder : '/tmp'
}

export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

export function userId(): number | string {
  return process.getuid?.() ?? os.userInfo().username
}
