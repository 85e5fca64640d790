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
import { TestDbError } from '../../errors.ts'
import { publish } from '../../events.ts'
import { makeOwnFolder, unwritable } from '../owned/folders.ts'
import type { Reply } from '../owned/job.ts'
import type { StartLock } from '../owned/start-lock.ts'
import { removeLeftStates, setAside, writeState } from '../owned/state-file.ts'
import { type IdleSupervisor, spawnSupervisor, startSupervisor } from '../owned/supervise.ts'
import { type Found, probe } from './attach.ts'
import { assertCanRun, type Binaries } from './binaries.ts'
import {
  type Cluster,
  createCluster,
  isDiskFull,
  isSuspect,
  markStarted,
  type Programs,
  readCluster,
} from './cluster.ts'
import { elsewhereError, runsElsewhere } from './elsewhere.ts'
import type { Job } from './job.ts'
import { makeRunnable } from './libraries.ts'
import { type Layout, passThrough } from './locations.ts'
import { claimMemory, removeMemoryLeftovers } from './memory-leftovers.ts'
import { endBackends, endPostmaster, postmastersOf } from './processes.ts'
import { findRunning, hasPostmaster, type Past } from './running.ts'
import { makeSocketFolder, removeSocketFolder, removeSocketFolders } from './socket-folder.ts'
import { readState, type ServerState } from './state-file.ts'
import { chooseStorage, clusterFolder, type Storage } from './storage.ts'

/** Longer than everything that the supervisor waits for: readiness (60 s), leftovers (10 s). */
const SUPERVISE = { timeoutMs: 90_000 }

export interface StartInput {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly account: Programs['account']
  readonly storage: Storage
  readonly port: number | undefined
  readonly maxConnections: number
  readonly idleMs: number
  readonly lock: StartLock
  readonly past: Past
}

/** Undefined means: somebody else was faster, look again. */
export type Outcome = { readonly found: Found; readonly started: boolean } | undefined

export async function attachOrStart(input: StartInput): Promise<Outcome> {
  const { layout, binaries, account } = input
  const runnable = await makeRunnable(binaries, account, layout)
  const programs: Programs = { ...runnable, account, major: binaries.major }
  for (const folder of [layout.memoryCluster, layout.diskCluster]) {
    const running = await findRunning(folder, { ...input, bin: programs.bin })
    if (running === undefined) continue
    const found = await ensureSupervisor(running.found, running.cluster, programs, input)
    return found && { found, started: false }
  }
  return await startNew(programs, input)
}

async function ensureSupervisor(
  found: Found,
  cluster: Cluster,
  programs: Programs,
  input: StartInput,
): Promise<Found | undefined> {
  const { layout, idleMs } = input
  // The file is lost when a supervisor died while stopping, or when somebody emptied the cache.
  await writeState(layout.state, found.state)
  await rm(setAside(layout.state), { force: true })
  if (found.supervisorPid !== undefined) return found
  const task = { kind: 'adopt', state: found.state } as const
  const job: Job = { kind: 'embedded', files: layout, cluster, programs, idleMs, task }
  const reply = await startSupervisor(job, SUPERVISE)
  if (reply.kind === 'failed') return tryAgain(reply, input)
  return (await probe(found.state, { idleMs })).found
}

async function startNew(programs: Programs, input: StartInput): Promise<Outcome> {
  const { layout, binaries, account, lock } = input
  assertCanRun()
  const storage = await chooseStorage(input.storage, layout)
  const folder = clusterFolder(storage, layout)
  if (await runsElsewhere(folder)) throw elsewhereError(folder)
  publish('server.starting', { summary: `starting PostgreSQL ${binaries.version} ${placeOf(folder, layout)}` })
  await makeOwnFolder(path.dirname(folder), passThrough(account))
  if (storage === 'memory') {
    await claimMemory(path.dirname(folder), layout)
    await removeMemoryLeftovers(layout)
  }
  await lock.assertHeld()
  await removeSocketFolder((await readState(layout.state))?.socketDir ?? null)
  await removeSocketFolders(account, layout)
  await removeLeftStates(layout.state)

  // While it shuts down it would write its control file into the new cluster of the same path.
  const dataDir = path.join(folder, 'data')
  for (const pid of await postmastersOf(dataDir)) await endPostmaster(pid, dataDir, programs.bin)

  const existing = (await isSuspect(folder)) ? undefined : await readCluster(folder)
  if (existing !== undefined) {
    const reply = await startCluster(existing, programs, input)
    if (reply.kind !== 'failed' || !reply.data) return await attachStarted(reply, input)
    // Without fsync a cluster can be damaged, and its owner can change; nothing in it is worth keeping.
    publish('warning.raised', { message: `the data in ${folder} does not start and is replaced: ${reply.message}` })
  }
  const reply = await startNewCluster(folder, programs, input)
  if (reply.kind === 'failed' && reply.data) throw startFailed(reply, layout)
  return await attachStarted(reply, input)
}

/** The supervisor starts while `initdb` works: one of them is busy on one processor. */
async function startNewCluster(folder: string, programs: Programs, input: StartInput): Promise<Reply> {
  // It writes its log anew.
  await input.lock.assertHeld()
  const supervisor = spawnSupervisor(input.layout, SUPERVISE)
  try {
    return await startCluster(await createCluster(folder, programs, input.lock), programs, input, supervisor)
  } finally {
    supervisor.dismiss()
  }
}

async function startCluster(
  cluster: Cluster,
  programs: Programs,
  input: StartInput,
  supervisor?: IdleSupervisor,
): Promise<Reply> {
  const { layout, idleMs, port, maxConnections, lock } = input
  // Here no living postmaster has this folder, so a postmaster.pid in it is a leftover. Postgres would take a process that
  // has been given the same pid since for its postmaster, and refuse to start.
  await lock.assertHeld()
  if (await hasPostmaster(cluster.dataDir)) return { kind: 'busy' }
  await endBackends(cluster.name)
  await rm(path.join(cluster.dataDir, 'postmaster.pid'), { force: true })
  await markStarted(cluster)
  const socketDir = await makeSocketFolder(programs.account, layout)
  const task = { kind: 'start', port, socketDir, maxConnections } as const
  const job: Job = { kind: 'embedded', files: layout, cluster, programs, idleMs, task }
  return await (supervisor && !supervisor.ended ? supervisor.work(job) : startSupervisor(job, SUPERVISE))
}

async function attachStarted(reply: Reply, input: StartInput): Promise<Outcome> {
  if (reply.kind === 'failed') return tryAgain(reply, input)
  const state = reply.kind === 'ready' ? await readState(input.layout.state) : undefined
  const found = state && (await probe(state, { idleMs: input.idleMs })).found
  return found && { found, started: true }
}

/** A supervisor that was killed, or a server: the next look finds what is left of them. */
function tryAgain(reply: Reply & { kind: 'failed' }, { layout, past }: StartInput): undefined {
  if (isDiskFull([reply.message, ...reply.log].join('\n'))) throw unwritable(layout.folder, 'ENOSPC')
  past.failed += 1
  if (past.failed > 1) throw startFailed(reply, layout)
  return undefined
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
