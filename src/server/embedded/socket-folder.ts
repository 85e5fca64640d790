/** The folder of the Unix socket: private, short, and gone when the server is. */
import { chown, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import type { Account } from './account.ts'
import { tmpdirFor } from './locations.ts'

/** sun_path holds 103 bytes on macOS and 107 on Linux; Postgres appends `/.s.PGSQL.65535`. */
const MAX_BYTES = 85
const PREFIX = 'testdb-'

/** Makes one for each start, with a name nobody can have taken before; null where there are no Unix sockets. */
export async function makeSocketFolder(account: Account | undefined): Promise<string | null> {
  if (process.platform === 'win32') return null
  const wanted = tmpdirFor(account)
  const parent = Buffer.byteLength(path.join(wanted, `${PREFIX}XXXXXX`)) <= MAX_BYTES ? wanted : '/tmp'
  const folder = await mkdtemp(path.join(parent, PREFIX))
  if (account !== undefined) await chown(folder, account.uid, account.gid)
  return folder
}

/**
 * Removes it with the socket files in it, and nothing else: the path comes from a file. Leaves it when there is more in it.
 * Whoever dies before this leaves an empty folder behind, which the next start removes (it reads the same state file).
 */
export async function removeSocketFolder(folder: string | null): Promise<void> {
  if (folder === null || !path.basename(folder).startsWith(PREFIX)) return
  try {
    const files = (await readdir(folder)).filter((name) => name.startsWith('.s.PGSQL.'))
    for (const name of files) await rm(path.join(folder, name), { force: true })
    await rmdir(folder)
  } catch {
    // Not there any more, or not ours any more.
  }
}
