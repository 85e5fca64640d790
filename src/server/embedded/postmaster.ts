/** Starts Postgres as a child of the supervisor and waits until it accepts connections. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { logTail } from '../owned/log-tail.ts'
import { isDiskFull, postgresEnvironment } from './cluster.ts'
import type { Job } from './job.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { hasPostmaster } from './running.ts'
import { serverArguments, serverSettings } from './settings.ts'
import type { ServerState } from './state-file.ts'

/** The same patience as pg_ctl has: crash recovery of a large cluster takes its time. */
const READY_TIMEOUT_MS = 60_000
/** Between choosing a free port and Postgres taking it, somebody else may take it. */
const PORT_ATTEMPTS = 5
/** The backends of a killed postmaster need a moment to notice. */
const LEFTOVER_TIMEOUT_MS = 10_000

/** `busy`: another postmaster has the data folder · `data`: Postgres does not come up with this data · `other`: it might. */
type Reason = 'busy' | 'data' | 'other'

export class StartFailure extends Error {
  readonly log: readonly string[]
  readonly reason: Reason
  constructor(message: string, log: readonly string[], reason: Reason) {
    super(message)
    this.log = log
    this.reason = reason
  }
}

const PORT_TAKEN = /Address already in use|could not create any TCP\/IP sockets/
/** What the machine does not give just now; the data is not to blame. */
const NO_RESOURCES =
  /could not (create|map|resize) .*(shared memory|semaphores)|Cannot allocate memory|Too many open files/

export interface Started {
  readonly state: ServerState
  readonly child: ChildProcess
}

/** Starts the server; tries other ports when the wanted one is taken. `onSpawn` sees the child at once, for an early end. */
export async function startPostmaster(job: Job, onSpawn: (child: ChildProcess) => void): Promise<Started> {
  const { task } = job
  if (task.kind !== 'start') throw new Error('bug: nothing to start')
  const deadline = Date.now() + LEFTOVER_TIMEOUT_MS
  let port = task.port ?? (await freePort())
  for (let attempt = 1; ; ) {
    try {
      return await startOnce(job, { ...task, port }, onSpawn)
    } catch (error) {
      if (!(error instanceof StartFailure)) throw error
      const text = error.log.join('\n')
      if (PORT_TAKEN.test(text) && attempt < PORT_ATTEMPTS) {
        attempt += 1
        port = await freePort()
      } else if (text.includes('pre-existing shared memory block') && Date.now() < deadline) {
        await delay(100)
      } else {
        throw error
      }
    }
  }
}

async function startOnce(
  job: Job,
  { port, socketDir, maxConnections }: { port: number; socketDir: string | null; maxConnections: number },
  onSpawn: (child: ChildProcess) => void,
): Promise<Started> {
  const { cluster, programs, files: layout } = job
  // Looked at here because its log would be cut off below.
  if (await hasPostmaster(cluster.dataDir)) throw new StartFailure('another server has the data', [], 'busy')
  const settings = serverSettings({
    major: programs.major,
    clusterName: cluster.name,
    port,
    socketDir: socketDir ?? undefined,
    maxConnections,
  })
  // A file and never a pipe: a postmaster whose log nobody reads stops in write(2). Truncated, so it does not grow for ever.
  const log = openSync(layout.serverLog, 'w', 0o600)
  const child = spawn(path.join(programs.bin, 'postgres'), serverArguments(cluster.dataDir, settings), {
    ...(programs.account && { uid: programs.account.uid, gid: programs.account.gid }),
    cwd: '/',
    env: postgresEnvironment(programs),
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  let ended: { message: string; signal: NodeJS.Signals | null } | undefined
  child.once('error', (error) => {
    ended = { message: `Postgres could not be started: ${error.message}`, signal: null }
  })
  child.once('exit', (code, signal) => {
    ended ??= { message: `Postgres ended while starting (${signal ?? `exit code ${code}`})`, signal }
  })
  onSpawn(child)

  const deadline = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    const file = await readPostmasterFile(cluster.dataDir)
    if (ended !== undefined) {
      const lines = await logTail(layout.serverLog)
      throw new StartFailure(ended.message, lines, reasonOf(ended.signal, lines.join('\n')))
    }
    if (file?.pid === child.pid && file?.status === 'ready') {
      const { pid, startedAt } = file
      const state: ServerState = {
        format: 1,
        port,
        socketDir,
        dataDir: cluster.dataDir,
        password: cluster.password,
        pid,
        startedAt,
      }
      return { state, child }
    }
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      await once(child, 'exit')
      throw new StartFailure(
        `Postgres did not accept connections within ${READY_TIMEOUT_MS / 1000} s`,
        await logTail(layout.serverLog),
        'data',
      )
    }
    await delay(5)
  }
}

function reasonOf(signal: NodeJS.Signals | null, log: string): Reason {
  if (/lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log)) return 'busy'
  // Ended from outside: by somebody, or for want of memory.
  if (signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT') return 'other'
  return PORT_TAKEN.test(log) || NO_RESOURCES.test(log) || isDiskFull(log) ? 'other' : 'data'
}

/** A port on loopback that is free right now. */
async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('bug: a TCP server has a port')
  return address.port
}
