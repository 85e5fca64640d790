/**
 * A server that runs where its processes can not be seen: the host and a container, or two machines, with one cache folder.
 *
 * Each supervisor renews the time stamp of its cluster's `cluster.json` at every look, and the file says where it was
 * started. Only an unclean end leaves a `postmaster.pid` from another place, so only then is there anything to wait for.
 */
import { existsSync } from 'node:fs'
import { stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'
import { type Cluster, clusterFile, readPlace } from './cluster.ts'
import { thisPlace } from './machine.ts'
import { waitUntil } from './processes.ts'

/** Three looks of a supervisor (supervision.ts). */
const WATCH_MS = 3_000
/** Whoever has not renewed for so long is dead, whatever the difference of two clocks; no need to watch. */
const DEAD_MS = 60_000

/** Says that the server lives. */
export async function heartbeat(cluster: Cluster): Promise<void> {
  const now = new Date()
  // A folder that was deleted is noticed elsewhere.
  await utimes(clusterFile(cluster.folder), now, now).catch(() => undefined)
}

export async function runsElsewhere(folder: string): Promise<boolean> {
  if (!existsSync(path.join(folder, 'data', 'postmaster.pid'))) return false
  const place = await readPlace(folder)
  const here = await thisPlace()
  if (place === undefined || (place.boot === here.boot && place.pids === here.pids)) return false
  const stamp = await beatOf(folder)
  const age = Date.now() - stamp
  if (age > DEAD_MS) return false
  return await waitUntil(async () => (await beatOf(folder)) !== stamp, WATCH_MS)
}

export function elsewhereError(folder: string): TestDbError {
  const what = `the server of ${folder} runs where this process can not see it: on the host, in another container or on another machine`
  return new TestDbError('TESTDB_SERVER_START_FAILED', what, {
    details: { folder },
    fixes: [
      'Set TESTDB_CACHE_DIR to a folder of its own in the container.',
      'Or stop that server where it runs: `npx testdb down`.',
      'Run `npx testdb doctor` to see which cache folder is used.',
    ],
  })
}

async function beatOf(folder: string): Promise<number> {
  return await stat(clusterFile(folder)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  )
}
