/**
 * Who a process is. A pid from a file may have been given to something else meanwhile (after a reboot, in a container, or
 * simply by time), so nothing is signalled before its command line says that it is a Postgres on our data folder.
 *
 * The command line is used because everybody may read it; `/proc/<pid>/cwd` is hidden from root in a container without
 * CAP_SYS_PTRACE. Zombies have an empty one, so they count as gone. Windows: only our own children are ever ended.
 */

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { errnoOf } from '../owned/folders.ts'

const run = promisify(execFile)

/** Tells whether that process is alive and is the postmaster of that data folder. */
export async function isPostmaster(pid: number, dataDir: string): Promise<boolean> {
  if (process.platform === 'win32') return exists(pid)
  const argv = await commandLine(pid)
  if (process.platform !== 'linux') return argv[0]?.includes(` -D ${dataDir} `) === true
  return isPostmasterOf(argv, dataDir)
}

function isPostmasterOf(argv: readonly string[], dataDir: string): boolean {
  const at = argv.indexOf('-D')
  return path.basename(argv[0] ?? '') === 'postgres' && at > 0 && argv[at + 1] === dataDir
}

/** Postmasters of that data folder that no file speaks of any more, because the folder was deleted under them. */
export async function postmastersOf(dataDir: string): Promise<number[]> {
  if (process.platform !== 'linux') return []
  return pidsWhere((argv) => isPostmasterOf(argv, dataDir))
}

/** Read in one go: a promise for each of hundreds of processes takes ten times as long. */
function pidsWhere(matches: (argv: string[]) => boolean): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => matches(linuxCommandLine(pid)))
}

function linuxCommandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean)
  } catch {
    return []
  }
}

/** Processes that a dead postmaster has left: they show the cluster's name (the setting `cluster_name`) in their title. */
export async function backendsOf(clusterName: string): Promise<number[]> {
  const title = `postgres: ${clusterName}: `
  if (process.platform === 'win32') return []
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-axww', '-o', 'pid=,command='])
    const lines = stdout.split('\n').filter((line) => line.includes(title))
    return lines.map((line) => Number.parseInt(line, 10))
  }
  return pidsWhere((argv) => argv[0]?.startsWith(title) === true)
}

/** Waits until `gone` says so; false when that took too long. */
export async function waitUntil(gone: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (!(await gone())) {
    if (Date.now() > deadline) return false
    await delay(20)
  }
  return true
}

/** How long each step of ending a postmaster may take (ms): it waits for its backends, which are ended at once. */
const END_STEP_MS = 5_000

/** Ends a postmaster: fast shutdown, then immediate, then by force. Resolves when the process is gone. */
export async function endPostmaster(pid: number, dataDir: string, bin: string): Promise<void> {
  if (process.platform === 'win32') {
    await run(path.join(bin, 'pg_ctl'), ['stop', '-D', dataDir, '-m', 'fast', '-t', '10'])
    return
  }
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!(await isPostmaster(pid, dataDir))) return
    signalProcess(pid, signal)
    if (await waitUntil(async () => !(await isPostmaster(pid, dataDir)), END_STEP_MS)) return
  }
  throw new Error(`Postgres with pid ${pid} does not end`)
}

/** Waits for orphaned backends to notice that their postmaster is gone, then ends those that are stuck. */
export async function endBackends(clusterName: string): Promise<void> {
  const gone = async (): Promise<boolean> => (await backendsOf(clusterName)).length === 0
  if (await waitUntil(gone, END_STEP_MS)) return
  for (const pid of await backendsOf(clusterName)) signalProcess(pid, 'SIGKILL')
  await waitUntil(gone, END_STEP_MS)
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // Gone between the look and the signal is what was wanted.
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Arguments of a process; elsewhere than on Linux one string; empty when it is gone or a zombie. */
async function commandLine(pid: number): Promise<string[]> {
  try {
    if (process.platform === 'linux') return linuxCommandLine(pid)
    return [`${(await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])).stdout.trim()} `]
  } catch {
    return []
  }
}
