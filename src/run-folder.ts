/**
 * A run's folder in the system's temporary directory: its workers note there which database they have, and processes that
 * a runner gives no other channel read the run's context from it. Only its owner may look inside.
 *
 * What if the process dies here? The folder's name has the pid; the next run of the same user removes it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface RunFolder {
  readonly path: string
  remove(): void
}

/** Makes the folder, and removes those of processes that are gone. It goes with `remove()` or with this process. */
export function makeRunFolder(): RunFolder {
  // Runners make a temporary directory that is named and missing, but only after this.
  mkdirSync(tmpdir(), { recursive: true })
  removeAbandoned()
  const path = mkdtempSync(join(tmpdir(), `testdb-run-${pidSpace()}-${process.pid}-`))
  const erase = (): void => rmSync(path, { recursive: true, force: true })
  process.once('exit', erase)
  return {
    path,
    remove() {
      process.off('exit', erase)
      erase()
    },
  }
}

function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, space, pid] = /^testdb-run-(\d+)-(\d+)-/.exec(name) ?? []
    // A container that shares the folder has other pids: what lives there looks dead from here.
    if (space !== pidSpace() || isAlive(Number(pid))) continue
    const path = join(tmpdir(), name)
    try {
      if (statSync(path).uid === (process.getuid?.() ?? 0)) rmSync(path, { recursive: true, force: true })
    } catch {
      // Another run was faster.
    }
  }
}

/** Tells containers apart, on Linux; elsewhere all see the same processes. */
function pidSpace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    return '0'
  }
}

/** A pid that was given away again only keeps its folder a little longer. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
