/**
 * The data folder and its secret: `<cluster>/data` belongs to the Postgres account, `<cluster>/cluster.json` (0600) to us.
 *
 * A cluster is made under a temporary name and renamed, so that it is complete or not there. Who dies here leaves a
 * `….new-…` folder, which the next start removes. A cluster that vanished (reboot, cleaned /dev/shm) is made again.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'
import { reached } from '../../steps.ts'
import { unwritable } from '../owned/folders.ts'
import { initdbArguments } from '../owned/settings.ts'
import type { StartLock } from '../owned/start-lock.ts'
import type { Account } from './account.ts'
import { libraryEnvironment, type Runnable } from './libraries.ts'
import { passThrough } from './locations.ts'
import { type Place, thisPlace } from './machine.ts'
import { readPostmasterFile } from './postmaster-file.ts'

export interface Cluster {
  readonly folder: string
  readonly dataDir: string
  /** Unique; in the title of each of its processes. */
  readonly name: string
  readonly password: string
}

/** What a program of Postgres needs to run. */
export interface Programs extends Runnable {
  readonly account: Account | undefined
  readonly major: number
}

interface ClusterFile extends Place {
  readonly name: string
  readonly password: string
}

/** Its time stamp is the sign of life of the server's supervisor (elsewhere.ts). */
export function clusterFile(folder: string): string {
  return path.join(folder, 'cluster.json')
}

/** Reads the cluster of that folder; undefined when there is none or when it is damaged. */
export async function readCluster(folder: string): Promise<Cluster | undefined> {
  const file = await readClusterFile(folder)
  const dataDir = path.join(folder, 'data')
  if (file === undefined || !existsSync(path.join(dataDir, 'PG_VERSION'))) return undefined
  return { folder, dataDir, name: file.name, password: file.password }
}

/**
 * Tells whether the machine went down while the server ran. We run without fsync, so then the data may be damaged in ways
 * that Postgres does not notice; a crash of Postgres alone loses nothing.
 */
export async function isSuspect(folder: string): Promise<boolean> {
  const unclean = (await readPostmasterFile(path.join(folder, 'data'))) !== undefined
  return unclean && (await readPlace(folder))?.boot !== (await thisPlace()).boot
}

/** Where it was last started: tells a crash of Postgres from a crash of the machine, and our processes from a container's. */
export async function readPlace(folder: string): Promise<Place | undefined> {
  return await readClusterFile(folder)
}

/** Notes where it is started, before each start. */
export async function markStarted(cluster: Cluster): Promise<void> {
  const file: ClusterFile = { name: cluster.name, password: cluster.password, ...(await thisPlace()) }
  const temporary = `${clusterFile(cluster.folder)}.${process.pid}`
  await writeFile(temporary, JSON.stringify(file), { mode: 0o600 })
  await rename(temporary, clusterFile(cluster.folder))
}

/** Makes sure that the next start makes a new one. */
export async function discardCluster(folder: string): Promise<void> {
  await rm(clusterFile(folder), { force: true })
}

/** Makes a cluster in that folder, in place of whatever is there. */
export async function createCluster(folder: string, programs: Programs, lock: StartLock): Promise<Cluster> {
  await lock.assertHeld()
  const parent = path.dirname(folder)
  const leftovers = (await readdir(parent)).filter((name) => name.startsWith(`${path.basename(folder)}.new-`))
  for (const name of [...leftovers, path.basename(folder)]) {
    // The initdb of a starter that was killed writes on for a moment, and what it adds is in the way.
    await rm(path.join(parent, name), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
  const temporary = `${folder}.new-${process.pid}`
  const made: Cluster = {
    folder: temporary,
    dataDir: path.join(temporary, 'data'),
    name: `testdb-${randomBytes(6).toString('hex')}`,
    password: randomBytes(24).toString('base64url'),
  }
  try {
    await mkdir(temporary)
    await chmod(temporary, passThrough(programs.account))
    await initdb(made, programs)
    await markStarted(made)
    await lock.assertHeld()
    await rename(temporary, folder)
    reached('boot.clusterMade')
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
  return { ...made, folder, dataDir: path.join(folder, 'data') }
}

async function initdb(cluster: Cluster, programs: Programs): Promise<void> {
  const passwordFile = path.join(cluster.folder, 'password')
  await writeFile(passwordFile, cluster.password, { mode: 0o600 })
  await mkdir(cluster.dataDir, { mode: 0o700 })
  if (programs.account !== undefined) {
    const { uid, gid } = programs.account
    await chown(passwordFile, uid, gid)
    await chown(cluster.dataDir, uid, gid)
  }
  try {
    const failure = await runInitdb(cluster, passwordFile, 'C.UTF-8', programs)
    if (failure === undefined) return
    // A C library without C.UTF-8 (glibc before 2.35 with no locales installed) has C at least.
    const again = /locale/i.test(failure) ? await runInitdb(cluster, passwordFile, 'C', programs) : failure
    if (again === undefined) return
    if (isDiskFull(again)) throw unwritable(path.dirname(cluster.folder), 'ENOSPC')
    throw new TestDbError('TESTDB_SERVER_START_FAILED', `initdb could not make ${cluster.dataDir}:\n${again}`, {
      details: { dataDir: cluster.dataDir, output: again },
    })
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/** Undefined when it worked, else what it said. */
async function runInitdb(
  cluster: Cluster,
  passwordFile: string,
  locale: string,
  programs: Programs,
): Promise<string | undefined> {
  const { major, account } = programs
  const args = [
    ...['-D', cluster.dataDir, '--username=postgres', `--pwfile=${passwordFile}`, '--auth-host=scram-sha-256'],
    // Through the socket, whose folder only we may enter: the key exchange costs each new process some milliseconds.
    '--auth-local=password',
    ...initdbArguments(major, locale),
  ]
  return await new Promise((resolve) => {
    execFile(
      path.join(programs.bin, 'initdb'),
      args,
      { ...(account && { uid: account.uid, gid: account.gid }), cwd: '/', env: postgresEnvironment(programs) },
      (error, stdout, stderr) => resolve(error === null ? undefined : `${stdout}${stderr}`.trim() || error.message),
    )
  })
}

/** The environment of every Postgres process: nothing of the user's, whose PG* and LC_* variables would change its mind. */
export function postgresEnvironment(programs: Programs): Record<string, string> {
  const { PATH, SystemRoot, TEMP } = process.env
  return {
    LC_ALL: 'C',
    PATH: PATH ?? '/usr/bin:/bin',
    ...(SystemRoot && { SystemRoot }),
    ...(TEMP && process.platform === 'win32' && { TEMP }),
    ...libraryEnvironment(programs.libraryPath),
  }
}

/** Tells from what a program of Postgres has written. */
export function isDiskFull(output: string): boolean {
  return output.includes('No space left on device') || output.includes('Disk quota exceeded')
}

async function readClusterFile(folder: string): Promise<ClusterFile | undefined> {
  try {
    const file = JSON.parse(await readFile(clusterFile(folder), 'utf8')) as Partial<ClusterFile>
    const { name, password, boot = '', pids = '' } = file
    return name && password ? { name, password, boot, pids } : undefined
  } catch {
    return undefined
  }
}
