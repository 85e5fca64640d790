/** Where this process runs, as far as it matters to a data folder: which boot of which machine, and whose processes it sees. */
import { readFile, readlink } from 'node:fs/promises'

export interface Place {
  /** `unknown` elsewhere than on Linux. */
  readonly boot: string
  /** Containers have their own: who has another one sees other processes. */
  readonly pids: string
}

export async function thisPlace(): Promise<Place> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')
  const pids = await readlink('/proc/self/ns/pid').catch(() => 'unknown')
  return { boot: boot.trim(), pids }
}
