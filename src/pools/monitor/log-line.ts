/** One line with what has happened in a pool since the last one. */
import { DurationHistogram } from './durations.ts'
import type { PoolWatch } from './watch.ts'

export class LogLine {
  readonly #watch: PoolWatch
  readonly #waits = new DurationHistogram()
  readonly #statements = new DurationHistogram()
  #timeouts = 0

  constructor(watch: PoolWatch) {
    this.#watch = watch
    watch.observers.add({
      waited: (ms) => this.#waits.record(ms),
      queried: (ms) => this.#statements.record(ms),
    })
  }

  next(): string {
    const { pool, source, timeouts } = this.#watch
    const { inUse, idle, waiting } = source.counts()
    const [waits, statements] = [this.#waits.get(), this.#statements.get()]
    const timedOut = timeouts - this.#timeouts
    this.#timeouts = timeouts
    this.#waits.reset()
    this.#statements.reset()
    return [
      `testdb: pool "${pool}": ${inUse} of ${source.max} in use, ${idle} idle, ${waiting} waiting`,
      `${waits.count} acquires, p99 ${ms(waits.p99Ms)}, ${timedOut} timeouts`,
      `${statements.count} statements, p99 ${ms(statements.p99Ms)}, slowest ${ms(statements.maxMs)}`,
    ].join('; ')
  }
}

const ms = (value: number): string => `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ms`
