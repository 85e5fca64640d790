/** Folders that only we may write to, and what is said when they can not be made. */
import { chmod, lstat, mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'

/** What the system answers when a folder is missing rights or space, as opposed to a mistake of ours. */
const UNWRITABLE = new Set([
  ...['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EEXIST', 'EMFILE', 'EIO'],
  ...['ENAMETOOLONG', 'ELOOP', 'EINVAL', 'ENOSYS'],
])

/** Errno name of a file system error, for example `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  // Not `instanceof Error`: in Jest's sandbox the errors of Node itself come from another realm.
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Turns a file system error into TESTDB_CACHE_UNWRITABLE that names the folder; leaves every other error as it is. */
export function cacheError(error: unknown, folder: string): unknown {
  const errno = errnoOf(error)
  if (errno === undefined || !UNWRITABLE.has(errno) || error instanceof TestDbError) return error
  const { path } = error as { readonly path?: unknown }
  const at = typeof path === 'string' ? path : folder
  const where = at === folder ? folder : `${folder} (at ${at})`
  return new TestDbError('TESTDB_CACHE_UNWRITABLE', `${where} can not be written: ${errno}`, {
    details: { folder, path: at, errno },
    cause: error,
  })
}

export function unwritable(folder: string, reason: string): TestDbError {
  return new TestDbError('TESTDB_CACHE_UNWRITABLE', `${folder} can not be used: ${reason}`, {
    details: { folder, reason },
  })
}

/**
 * Makes a folder and those above it. Node's own recursive `mkdir` never ends below /proc, where a folder can not be made and
 * the answer is that its parent, which is there, does not exist.
 */
export async function makeFolders(folder: string): Promise<void> {
  const missing: string[] = []
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      await mkdir(at)
      break
    } catch (error) {
      if (errnoOf(error) === 'EEXIST' && (at !== folder || (await isFolder(folder)))) break
      // At the root there is nothing above that could be missing.
      if (errnoOf(error) !== 'ENOENT' || at === path.dirname(at)) throw error
      missing.push(at)
    }
  }
  for (const one of missing.reverse()) {
    try {
      await mkdir(one)
    } catch (error) {
      // Its parent has just been made, or was there.
      if (errnoOf(error) === 'ENOENT') throw unwritable(folder, `no folder can be made in ${path.dirname(one)}`)
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

async function isFolder(folder: string): Promise<boolean> {
  return await stat(folder).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
}

/**
 * Makes a folder, or takes an existing one only if nobody else owns it or can write to it: below /tmp and /dev/shm anybody
 * may have made it first, to be given our password file or to be deleted by root.
 */
export async function makeOwnFolder(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
  const stats = await lstat(folder)
  if (!stats.isDirectory()) throw unwritable(folder, 'it is not a folder')
  const uid = process.getuid?.()
  if (uid !== undefined && stats.uid !== uid) throw unwritable(folder, `it belongs to another user (uid ${stats.uid})`)
  // The umask may have taken away what the Postgres account needs to pass through.
  if (process.platform !== 'win32' && (stats.mode & 0o777) !== mode) await chmod(folder, mode)
}
