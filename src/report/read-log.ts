/** Reads the lines that the processes of a run have written. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventName, Events } from '../events.ts'
import type { Line } from './event-log.ts'

/** One event of a run, with the milliseconds since the run began. */
export type Entry<N extends EventName = EventName> = Omit<Line, 'event'> & { readonly atMs: number } & {
    [M in N]: { readonly event: M } & Events[M]
  }[N]

export interface RunLog {
  /** The epoch's milliseconds of the first event. */
  readonly start: number
  /** In the order of time. */
  readonly entries: readonly Entry[]
}

/** Undefined when there is not one event. Lines that were cut off by the end of their process are left out. */
export function readLog(folder: string): RunLog | undefined {
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const lines = files.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').flatMap(parse))
  lines.sort((a, b) => a.at - b.at)
  const start = lines[0]?.at
  if (start === undefined) return undefined
  return { start, entries: lines.map((line) => ({ ...line, atMs: Math.round((line.at - start) * 10) / 10 }) as Entry) }
}

function parse(text: string): Line[] {
  try {
    const line = JSON.parse(text) as Partial<Line> | null
    return typeof line?.at === 'number' && typeof line.event === 'string' ? [line as Line] : []
  } catch {
    return []
  }
}

export const only = <N extends EventName>(entries: readonly Entry[], name: N): Entry<N>[] =>
  entries.filter((entry): entry is Extract<Entry, { event: N }> => entry.event === name) as unknown as Entry<N>[]
