/** Decides whether the data lies in memory or on disk. */
import { access, constants, readFile, statfs } from 'node:fs/promises'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'
import { unwritable } from '../owned/folders.ts'
import type { Layout } from './locations.ts'

export type Storage = 'auto' | 'memory' | 'disk'
export type StorageKind = 'memory' | 'disk'

const GIB = 1024 ** 3
/** Templates and clones of a large application (42 MB each) for a dozen workers, WAL and room to grow. */
const FREE_SPACE = 2 * GIB
/** What lies in /dev/shm is memory: as much again has to be left for the tests themselves. */
const AVAILABLE_MEMORY = 4 * GIB
/** `statfs` type of tmpfs; another file system mounted there would be a disk after all. */
const TMPFS_MAGIC = 0x01021994

/** Takes memory when it is asked for or is safe and large enough; throws when it is asked for and is not there. */
export async function chooseStorage(wanted: Storage, layout: Layout): Promise<StorageKind> {
  if (wanted === 'disk') return 'disk'
  const objection = await objectionToMemory(path.dirname(path.dirname(layout.memoryCluster)), wanted === 'memory')
  if (objection === undefined) return 'memory'
  if (wanted === 'auto') return 'disk'
  if (process.platform === 'linux') throw unwritable('/dev/shm', objection)
  throw new TestDbError('TESTDB_PLATFORM_UNSUPPORTED', `storage 'memory': ${objection}`, {
    fixes: ["Set `server.storage` to 'auto' or 'disk'.", 'Run `npx testdb doctor` to check the whole set-up.'],
  })
}

/** The folder of the cluster on that storage. */
export function clusterFolder(kind: StorageKind, layout: Layout): string {
  return kind === 'memory' ? layout.memoryCluster : layout.diskCluster
}

/** Why memory is not an option; a user who asks for it by name decides about the amount. */
async function objectionToMemory(root: string, byName: boolean): Promise<string | undefined> {
  if (process.platform !== 'linux') return `${process.platform} has no memory-backed folder that testdb knows`
  try {
    await access(root, constants.W_OK | constants.X_OK)
    const stats = await statfs(root)
    if (stats.type !== TMPFS_MAGIC) return `${root} is not a tmpfs`
    const free = stats.bavail * stats.bsize
    if (byName) return free > 0 ? undefined : `${root} is full`
    if (free < FREE_SPACE) return `${root} has ${toMiB(free)} MiB free, ${toMiB(FREE_SPACE)} are needed`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  const available = await availableMemory()
  if (available >= AVAILABLE_MEMORY) return undefined
  return `${toMiB(available)} MiB of memory are available, ${toMiB(AVAILABLE_MEMORY)} are needed`
}

/** Node's own answer knows the limit of a container, /proc/meminfo knows only the machine; older Node 20 has only that. */
async function availableMemory(): Promise<number> {
  const ask: unknown = (process as { availableMemory?: unknown }).availableMemory
  if (typeof ask === 'function') return Number(ask.call(process))
  const meminfo = await readFile('/proc/meminfo', 'utf8')
  const machine = Number(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0) * 1024
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 ? Math.min(machine, limit) : machine
}

function toMiB(bytes: number): number {
  return Math.round(bytes / 1024 ** 2)
}
