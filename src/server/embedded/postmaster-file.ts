/** `postmaster.pid`, which Postgres writes into its data folder: enough to find a server whose state file is lost. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'

export interface PostmasterFile {
  readonly pid: number
  readonly startedAt: number
  readonly port: number
  /** Undefined where there are no Unix sockets. */
  readonly socketDir: string | undefined
  /** `starting`, `ready`, `stopping`, `standby`; empty in its first moments. */
  readonly status: string
}

/** Reads the file; undefined when there is none or when it is not complete (yet). */
export async function readPostmasterFile(dataDir: string): Promise<PostmasterFile | undefined> {
  let lines: string[]
  try {
    lines = (await readFile(path.join(dataDir, 'postmaster.pid'), 'utf8')).split('\n').map((line) => line.trim())
  } catch {
    return undefined
  }
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  return {
    pid,
    startedAt: Number(lines[2] ?? 0),
    port: Number(lines[3] ?? 0),
    socketDir: lines[4] || undefined,
    status: lines[7] ?? '',
  }
}
