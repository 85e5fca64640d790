/**
 * The record of a run: every event of its processes as a line of JSON. Each process, or each worker after the other, appends to
 * a file of its own in the run's folder; what is left of a killed process is complete but for its last half second.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
// Node's own: tests replace the global ones by fakes, and clocks, too.
import { performance } from 'node:perf_hooks'
import { clearTimeout, setTimeout } from 'node:timers'
import { type AnyEvent, type EventName, subscribeAll } from '../events.ts'

/** One line; the rest of it is the event's payload. */
export interface Line {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** `main`, or the worker by the runner's number. */
  readonly process: string
  readonly pid: number
  readonly event: EventName
}

/** How long lines are held back that nobody would miss (ms). */
const DELAY_MS = 500

/** What explains how a run ended is written before it can end. */
const AT_ONCE = new Set<EventName>([
  'run.started',
  'run.failed',
  'run.finished',
  'file.started',
  'file.finished',
  'finding.raised',
  'lock.waiting',
  'leader.waiting',
  'budget.waiting',
  'migration.started',
  'template.failed',
])
/** Of interest to crash tests only. */
const LEFT_OUT = new Set<EventName>(['step.reached'])

export class EventLog {
  readonly folder: string
  readonly process: string
  readonly #file: string
  readonly #unsubscribe: () => void
  #lines: string[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(folder: string, process: string) {
    this.folder = folder
    this.process = process
    this.#file = join(folder, `${process.replace(/[^\w.-]/g, '_')}.jsonl`)
    this.#unsubscribe = subscribeAll((event) => this.#add(event))
  }

  #add({ name, payload }: AnyEvent): void {
    if (LEFT_OUT.has(name)) return
    try {
      const at = Math.round((performance.timeOrigin + performance.now()) * 10) / 10
      this.#lines.push(JSON.stringify({ at, process: this.process, pid: process.pid, event: name, ...payload }))
      if (AT_ONCE.has(name)) this.flush()
      else {
        this.#timer ??= setTimeout(() => this.flush(), DELAY_MS)
        this.#timer.unref()
      }
    } catch {
      // A payload of somebody else's that is no JSON. What publishes must not fail by who listens.
    }
  }

  /** Writes what is there; a disk that is full or read-only only means that there is no record. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const lines = this.#lines
    if (lines.length === 0) return
    this.#lines = []
    try {
      appendFileSync(this.#file, `${lines.join('\n')}\n`)
    } catch {}
  }

  end(): void {
    this.#unsubscribe()
    this.flush()
  }
}
