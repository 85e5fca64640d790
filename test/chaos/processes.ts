/** Who is who among the processes of a campaign, from /proc alone: it must be right while nothing answers. Linux only. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export interface Process {
  readonly pid: number
  readonly parent: number
  readonly argv: readonly string[]
}

/** Every living process; zombies have no command line and are left out. */
export function allProcesses(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const process = readProcess(Number(name))
      return process === undefined ? [] : [process]
    })
}

function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean)
    if (argv.length === 0) return undefined
    // The name of the program comes in parentheses and may have any character in it.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    return { pid, parent, argv }
  } catch {
    return undefined
  }
}

export function isAlive(pid: number): boolean {
  return readProcess(pid) !== undefined
}

const isSupervisor = ({ argv }: Process): boolean => path.basename(argv[1] ?? '') === 'supervisor.mjs'

/** The processes that a run has started and that are its own: the server's outlive it. */
export function workersOf(main: number): Process[] {
  const all = allProcesses()
  const found: Process[] = []
  const add = (parent: number): void => {
    for (const process of all) {
      if (process.parent !== parent || isSupervisor(process) || isPostmasterIn(process, '/')) continue
      found.push(process)
      add(process.pid)
    }
  }
  add(main)
  return found
}

/** Supervisors of the campaign: they inherit its temporary folder, which nobody else has. */
export function supervisors(temporary: string): number[] {
  return allProcesses()
    .filter((process) => isSupervisor(process) && environmentHas(process.pid, `TMPDIR=${temporary}`))
    .map(({ pid }) => pid)
}

/** Every process that was started with that temporary folder: runs, their workers, supervisors. */
export function withTemporary(temporary: string): Process[] {
  return allProcesses().filter(({ pid }) => environmentHas(pid, `TMPDIR=${temporary}`))
}

function environmentHas(pid: number, entry: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(entry)
  } catch {
    return false
  }
}

const isPostmasterIn = ({ argv }: Process, folder: string): boolean =>
  path.basename(argv[0] ?? '') === 'postgres' && argv[1] === '-D' && (argv[2] ?? '').startsWith(folder)

/** Postmasters with their data below one of these folders. */
export function postmasters(folders: readonly string[]): number[] {
  return allProcesses()
    .filter((process) => folders.some((folder) => isPostmasterIn(process, folder)))
    .map(({ pid }) => pid)
}

/** Backends and auxiliary processes of a postmaster. */
export function childrenOf(parent: number): number[] {
  return allProcesses()
    .filter((process) => process.parent === parent)
    .map(({ pid }) => pid)
}

/** Sends the signal; false when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
