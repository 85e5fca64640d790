/**
 * Stops the embedded server for `testdb down`, and keeps it for `testdb up`.
 *
 * A supervisor is told over its own connection (NOTIFY), so no pid has to be trusted. A server whose supervisor is dead is
 * ended directly, after its identity has been checked. The start lock is held meanwhile: who wants to start waits.
 */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { withSession } from '../../postgres/index.ts'
import { cacheError } from '../owned/folders.ts'
import { SUPERVISOR_CHANNEL } from '../owned/probe.ts'
import { waitForStartLock } from '../owned/start-lock.ts'
import type { Server } from '../server.ts'
import { chooseAccount } from './account.ts'
import { findBinaries } from './binaries.ts'
import { type EmbeddedOptions, startEmbedded } from './embedded.ts'
import { type CacheOptions, existingLayouts, type Layout, layoutOf, resolveCache } from './locations.ts'
import { endPostmaster, waitUntil } from './processes.ts'
import { removeSocketFolder } from './socket-folder.ts'
import { adminTarget, readState, removeState } from './state-file.ts'
import { findServer, runningPostmasters } from './status.ts'

/** How long the supervisor may take: its own steps of ending a postmaster, and a little (ms). */
const SUPERVISOR_TIMEOUT_MS = 20_000

/** Stops every embedded server of the project and waits until it is gone; tells whether one was running. */
export async function stopEmbedded(options: CacheOptions): Promise<boolean> {
  let stopped = false
  for (const layout of await existingLayouts(options, chooseAccount())) {
    try {
      stopped = (await stopOne(layout, options)) || stopped
    } catch (error) {
      throw cacheError(error, layout.folder)
    }
  }
  return stopped
}

/** Starts or attaches, and keeps the server running without sessions until `stopEmbedded`. */
export async function keepEmbedded(options: EmbeddedOptions): Promise<Server> {
  // Attached first: the marker's folder exists then, and the idle time has just begun again.
  const server = await startEmbedded(options)
  const layout = layoutOf(await resolveCache(options, chooseAccount()), server.major)
  try {
    await writeFile(layout.keep, '', { mode: 0o600 })
  } catch (error) {
    throw cacheError(error, layout.folder)
  }
  return server
}

async function stopOne(layout: Layout, options: CacheOptions): Promise<boolean> {
  const turn = await waitForStartLock(layout, async () => undefined)
  if (!('lock' in turn)) throw new Error('bug: nothing else was asked for')
  try {
    await rm(layout.keep, { force: true })
    const told = await tellSupervisor(layout)
    const left = await runningPostmasters(layout)
    for (const { pid, dataDir, state } of left) {
      await endPostmaster(pid, dataDir, binFolder(options))
      await removeSocketFolder(state?.socketDir ?? null)
    }
    const state = await readState(layout.state)
    if (state !== undefined) await removeState(layout.state, state)
    return told || left.length > 0
  } finally {
    await turn.lock.release()
  }
}

/** True when a supervisor was there and its server is gone, with the socket folder, which is the last thing to go. */
async function tellSupervisor(layout: Layout): Promise<boolean> {
  const found = await findServer(layout)
  if (found?.supervisorPid === undefined) return false
  const { state } = found
  await withSession(adminTarget(state), { applicationName: 'testdb down' }, (session) =>
    session.query('select pg_notify($1, $2)', [SUPERVISOR_CHANNEL, 'stop']),
  )
  const gone = async (): Promise<boolean> =>
    (await runningPostmasters(layout)).length === 0 && (state.socketDir === null || !existsSync(state.socketDir))
  await waitUntil(gone, SUPERVISOR_TIMEOUT_MS)
  return true
}

/** Only Windows needs a program to stop a server; without the binaries there, the error says so. */
function binFolder(options: CacheOptions): string {
  return process.platform === 'win32' ? path.join(findBinaries(options.projectRoot).native, 'bin') : ''
}
