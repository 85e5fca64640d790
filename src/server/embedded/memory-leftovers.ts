/**
 * Clusters in memory whose project is gone: deleting a project does not delete what it has in /dev/shm, and memory is dear.
 * The folder there says to which cache folder it belongs; the next start in memory of the same user removes the others' left.
 */
import { lstat, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../owned/folders.ts'
import { runsElsewhere } from './elsewhere.ts'
import type { Layout } from './locations.ts'
import { postmastersOf } from './processes.ts'

const OWNER = 'cache-folder'

/** Notes whose folder this is; `home` is the one above the clusters of all majors. */
export async function claimMemory(home: string, layout: Layout): Promise<void> {
  await writeFile(path.join(home, OWNER), layout.cacheDir, { mode: 0o600 })
}

/** Removes those of our user whose cache folder is not there any more, and that nobody runs. */
export async function removeMemoryLeftovers(layout: Layout): Promise<void> {
  const mine = path.dirname(layout.memoryCluster)
  const root = path.dirname(mine)
  const pattern = new RegExp(`^testdb-${process.getuid?.()}-[0-9a-f]{12}$`)
  for (const name of await readdir(root).catch(() => [])) {
    const home = path.join(root, name)
    if (home !== mine && pattern.test(name) && (await isLeftover(home))) {
      await rm(home, { recursive: true, force: true })
    }
  }
}

async function isLeftover(home: string): Promise<boolean> {
  const stats = await lstat(home).catch(() => undefined)
  if (!stats?.isDirectory() || stats.uid !== process.getuid?.()) return false
  const owner = await readFile(path.join(home, OWNER), 'utf8').catch(() => '')
  if (owner === '' || !(await isMissing(owner))) return false
  for (const major of await readdir(home).catch(() => [])) {
    const folder = path.join(home, major)
    if ((await postmastersOf(path.join(folder, 'data'))).length > 0 || (await runsElsewhere(folder))) return false
  }
  return true
}

/** Only what surely is not there: a folder that can not be looked at may well be. */
async function isMissing(folder: string): Promise<boolean> {
  return await stat(folder).then(
    () => false,
    (error: unknown) => errnoOf(error) === 'ENOENT',
  )
}
