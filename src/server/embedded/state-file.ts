/** How to reach the running embedded server, and which one it is. */
import { rm } from 'node:fs/promises'
import type { ConnectionTarget } from '../../postgres/index.ts'
import { readStateAs } from '../owned/state-file.ts'

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

export const readState = (file: string): Promise<ServerState | undefined> => readStateAs(file, isState)

/** Removes the file, unless it speaks of another server by now. */
export async function removeState(file: string, state: ServerState): Promise<void> {
  const current = await readState(file).catch(() => undefined)
  if (current === undefined || isSameServer(current, state)) await rm(file, { force: true })
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
