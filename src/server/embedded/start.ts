/**
 * The slow path: finds or makes the server while holding the start lock.
 *
 *   living postmaster of ours ─▶ accepting? ─▶ supervised? ─▶ attach
 *                                   │              └ no ─▶ new supervisor adopts it
 *                                   └ not within its time ─▶ ended
 *   none ─▶ leftovers cleaned ─▶ cluster (made, if needed) ─▶ new supervisor starts it
 *
 * If this process dies here the lock goes stale, and the next one goes through the same steps: a supervisor that was already
 * spawned goes on by itself, half a cluster has a temporary name, a running server is found by its `postmaster.pid`.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { type Found, type Probe, probe } from './attach.ts'
import { assertCanRun, type Binaries } from './binaries.ts'
import { type Cluster, createCluster, isSuspect, markStarted, type Programs, readCluster } from './cluster.ts'
import { makeOwnFolder } from './folders.ts'
import type { Reply } from './job.ts'
import { makeRunnable } from './libraries.ts'
import { type Layout, passThrough } from './locations.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { endBackends, endPostmaster, isPostmaster, postmastersOf } from './processes.ts'
import { makeSocketFolder, removeSocketFolder } from './socket-folder.ts'
import { readState, type ServerState, writeState } from './state-file.ts'
import { chooseStorage, clusterFolder, type Storage } from './storage.ts'
import { startSupervisor } from './supervise.ts'

export interface StartInput {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly account: Programs['account']
  readonly storage: Storage
  readonly port: number | undefined
  readonly idleMs: number
}

/** A server that runs may be finishing its crash recovery, or be shutting down; after this it counts as stuck (ms). */
const ACCEPT_TIMEOUT_MS = 15_000
const RECOVERY_TIMEOUT_MS = 60_000

const FULL = {
  fixes: [
    'Wait for other runs to end, or use fewer workers or smaller pools.',
    'Run `npx testdb down` to end the server with everything on it.',
    'Run `npx testdb status` to see who is connected.',
  ],
}

/** Undefined means: somebody else was faster, look again. */
export type Outcome = { readonly found: Found; readonly started: boolean } | undefined

export async function attachOrStart(input: StartInput): Promise<Outcome> {
  const { layout, binaries, account } = input
  const runnable = await makeRunnable(binaries, account, layout)
  const programs: Programs = { ...runnable, account, major: binaries.major }
  for (const folder of [layout.memoryCluster, layout.diskCluster]) {
    const running = await findRunning(folder, programs)
    if (running === undefined) continue
    return { found: await ensureSupervisor(running.found, running.cluster, programs, input), started: false }
  }
  return await startNew(programs, input)
}

/** The server of that cluster, if one runs and accepts connections; one that never does is ended. */
async function findRunning(
  folder: string,
  programs: Programs,
): Promise<{ found: Found; cluster: Cluster } | undefined> {
  const dataDir = path.join(folder, 'data')
  const first = await readPostmasterFile(dataDir)
  if (first === undefined || !(await isPostmaster(first.pid, dataDir))) return undefined
  const cluster = await readCluster(folder)
  const since = Date.now()
  let full: string | undefined
  while (cluster !== undefined && (await isPostmaster(first.pid, dataDir))) {
    const file = await readPostmasterFile(dataDir)
    if (file?.status === 'ready') {
      const result = await probeFile(file, cluster)
      if (result.found !== undefined) return { found: result.found, cluster }
      full = result.full ? result.reason : undefined
    }
    if (Date.now() - since > (file?.status === 'starting' ? RECOVERY_TIMEOUT_MS : ACCEPT_TIMEOUT_MS)) break
    await delay(20)
  }
  // Other people's tests are running on it: it is the last thing to be ended.
  if (full !== undefined)
    throw new TestDbError('TESTDB_SERVER_UNREACHABLE', `the embedded server is full: ${full}`, FULL)
  await endPostmaster(first.pid, dataDir, programs.bin)
  return undefined
}

async function probeFile(
  file: { pid: number; startedAt: number; port: number; socketDir: string | undefined },
  cluster: Cluster,
): Promise<Probe> {
  const { pid, startedAt, port } = file
  const { dataDir, password } = cluster
  return await probe({ format: 1, port, socketDir: file.socketDir ?? null, dataDir, password, pid, startedAt })
}

async function ensureSupervisor(found: Found, cluster: Cluster, programs: Programs, input: StartInput): Promise<Found> {
  const { layout, idleMs } = input
  // The file is lost when a supervisor died while stopping, or when somebody emptied the cache.
  await writeState(layout.state, found.state)
  if (found.supervisorPid !== undefined) return found
  const reply = await startSupervisor({
    layout,
    cluster,
    programs,
    idleMs,
    task: { kind: 'adopt', state: found.state },
  })
  if (reply.kind === 'failed') throw startFailed(reply, layout)
  return (await probe(found.state)).found ?? found
}

async function startNew(programs: Programs, input: StartInput): Promise<Outcome> {
  const { layout, binaries, account } = input
  assertCanRun()
  const storage = await chooseStorage(input.storage, layout)
  const folder = clusterFolder(storage, layout)
  publish('server.starting', { summary: `starting PostgreSQL ${binaries.version} ${placeOf(folder, layout)}` })
  await makeOwnFolder(path.dirname(folder), passThrough(account))
  await removeSocketFolder((await readState(layout.state))?.socketDir ?? null)

  // While it shuts down it would write its control file into the new cluster of the same path.
  const dataDir = path.join(folder, 'data')
  for (const pid of await postmastersOf(dataDir)) await endPostmaster(pid, dataDir, programs.bin)

  const existing = (await isSuspect(folder)) ? undefined : await readCluster(folder)
  if (existing !== undefined) {
    const reply = await startCluster(existing, programs, input)
    if (reply.kind !== 'failed') return await attachStarted(reply, layout)
    // Without fsync a cluster can be damaged, and its owner can change; nothing in it is worth keeping.
    publish('warning.raised', { message: `the data in ${folder} does not start and is replaced: ${reply.message}` })
  }
  const reply = await startCluster(await createCluster(folder, programs), programs, input)
  if (reply.kind === 'failed') throw startFailed(reply, layout)
  return await attachStarted(reply, layout)
}

async function startCluster(cluster: Cluster, programs: Programs, input: StartInput): Promise<Reply> {
  const { layout, idleMs, port } = input
  // Here no living postmaster has this folder, so a postmaster.pid in it is a leftover. Postgres would take a process that
  // has been given the same pid since for its postmaster, and refuse to start.
  await endBackends(cluster.name)
  await rm(path.join(cluster.dataDir, 'postmaster.pid'), { force: true })
  await markStarted(cluster)
  const socketDir = await makeSocketFolder(programs.account)
  return await startSupervisor({ layout, cluster, programs, idleMs, task: { kind: 'start', port, socketDir } })
}

async function attachStarted(reply: Reply, layout: Layout): Promise<Outcome> {
  const state = reply.kind === 'ready' ? await readState(layout.state) : undefined
  const found = state && (await probe(state)).found
  return found && { found, started: true }
}

function startFailed(reply: Reply & { kind: 'failed' }, layout: Layout): TestDbError {
  const lines = reply.log.map((line) => `  | ${line}`).join('\n')
  return new TestDbError('TESTDB_SERVER_START_FAILED', `${reply.message}\n${lines}\nThe log: ${layout.serverLog}`, {
    details: { log: layout.serverLog, supervisorLog: layout.supervisorLog, lines: reply.log },
  })
}

/** Where the data lies, for people. */
export function placeOf(folder: string, layout: Layout): string {
  return folder.startsWith(layout.memoryCluster)
    ? `in memory (${layout.memoryCluster})`
    : `on disk (${layout.diskCluster})`
}

export function storageOf(state: ServerState, layout: Layout): 'memory' | 'disk' {
  return state.dataDir.startsWith(layout.memoryCluster) ? 'memory' : 'disk'
}
