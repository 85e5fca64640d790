/**
 * How to reach the running server: written when it accepts connections, renamed away when it is about to be stopped.
 * It is a hint. Whoever reads it connects and checks that the server there really is the one (attach.ts).
 */
import { readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { ConnectionTarget } from '../../postgres/index.ts'
import { errnoOf } from './folders.ts'

export interface ServerState {
  readonly format: 1
  readonly port: number
  /** Null where there are no Unix sockets. */
  readonly socketDir: string | null
  readonly dataDir: string
  /** Password of the superuser `postgres`. */
  readonly password: string
  readonly pid: number
  /** When the postmaster started, in seconds, as Postgres says it; with the pid it names one life of the server. */
  readonly startedAt: number
}

/** Its name while the server is being stopped. */
export const setAside = (file: string): string => `${file}.stopping`

export async function readState(file: string): Promise<ServerState | undefined> {
  try {
    const state: unknown = JSON.parse(await readFile(file, 'utf8'))
    return isState(state) ? state : undefined
  } catch (error) {
    // Missing or half written by a broken disk: both mean that nothing is known. No right to read it is worth saying.
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') throw error
    return undefined
  }
}

export async function writeState(file: string, state: ServerState): Promise<void> {
  const temporary = `${file}.${process.pid}`
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  await rename(temporary, file)
}

/** Removes the file, unless it speaks of another server by now. */
export async function removeState(file: string, state: ServerState): Promise<void> {
  const current = await readState(file).catch(() => undefined)
  if (current === undefined || isSameServer(current, state)) await rm(file, { force: true })
}

/** Removes the file, also where it was set aside or half written by who is dead now. The caller knows that no server runs. */
export async function removeLeftStates(file: string): Promise<void> {
  const folder = path.dirname(file)
  const left = (await readdir(folder)).filter((name) => name.startsWith(path.basename(file)))
  for (const name of left) await rm(path.join(folder, name), { force: true })
}

/** Tells the supervisor that somebody is about to use the server; false when the file is gone. */
export async function touchState(file: string): Promise<boolean> {
  const now = new Date()
  try {
    await utimes(file, now, now)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

export function isSameServer(a: ServerState, b: ServerState): boolean {
  return a.pid === b.pid && a.startedAt === b.startedAt && a.dataDir === b.dataDir
}

/** The maintenance database as the superuser. */
export function adminTarget(state: ServerState): ConnectionTarget {
  return {
    // The socket is faster, and its folder is private.
    host: state.socketDir ?? '127.0.0.1',
    port: state.port,
    user: 'postgres',
    password: state.password,
    database: 'postgres',
    // Said out loud: undefined would let PGSSLMODE decide, which is meant for other servers.
    ssl: false,
  }
}

function isState(value: unknown): value is ServerState {
  if (typeof value !== 'object' || value === null) return false
  const state = value as Partial<Record<keyof ServerState, unknown>>
  const numbers = [state.port, state.pid, state.startedAt]
  return (
    state.format === 1 &&
    numbers.every((number) => Number.isInteger(number)) &&
    typeof state.dataDir === 'string' &&
    typeof state.password === 'string' &&
    (state.socketDir === null || typeof state.socketDir === 'string')
  )
}
