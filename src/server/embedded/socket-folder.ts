/** The folder of the Unix socket: private, short, and gone when the server is. */
import { chown, lstat, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import type { Account } from './account.ts'
import { type Layout, shortHash, tmpdirFor } from './locations.ts'

/** sun_path holds 103 bytes on macOS and 107 on Linux; Postgres appends `/.s.PGSQL.65535`. */
const MAX_BYTES = 85
const PREFIX = 'testdb-'

/** Makes one for each start, with a name nobody can have taken before; null where there are no Unix sockets. */
export async function makeSocketFolder(account: Account | undefined, layout: Layout): Promise<string | null> {
  if (process.platform === 'win32') return null
  const prefix = prefixOf(layout)
  const wanted = tmpdirFor(account)
  const parent = Buffer.byteLength(path.join(wanted, `${prefix}XXXXXX`)) <= MAX_BYTES ? wanted : '/tmp'
  const folder = await mkdtemp(path.join(parent, prefix))
  if (account !== undefined) await chown(folder, account.uid, account.gid)
  return folder
}

/** The layout is in the name, so that the next start finds what a process has left that died before it told anybody. */
function prefixOf(layout: Layout): string {
  return `${PREFIX}${shortHash(layout.folder)}-`
}

/** Removes what dead starts of this layout have left. The caller holds the start lock, and no server of it runs. */
export async function removeSocketFolders(account: Account | undefined, layout: Layout): Promise<void> {
  if (process.platform === 'win32') return
  const owners = [process.getuid?.(), account?.uid]
  for (const parent of new Set([tmpdirFor(account), '/tmp'])) {
    const names = await readdir(parent).catch(() => [])
    for (const name of names.filter((one) => one.startsWith(prefixOf(layout)))) {
      const folder = path.join(parent, name)
      const stats = await lstat(folder).catch(() => undefined)
      // Anybody may make such a name in /tmp.
      if (stats?.isDirectory() && owners.includes(stats.uid)) await removeSocketFolder(folder)
    }
  }
}

/**
 * Removes it with the socket files in it, and nothing else: the path comes from a file. Leaves it when there is more in it.
 * Whoever dies before this leaves a folder behind, which the next start removes.
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
