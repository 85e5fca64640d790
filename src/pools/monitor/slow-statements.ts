/** The slowest statements of a pool, in few bytes: one entry for each text without its literals. */
import { shownStatement } from '../../postgres/index.ts'

export interface SlowStatement {
  /** Shortened, without literals; a statement that mentions a password is not shown. */
  readonly statement: string
  /** How often it was slow. */
  readonly count: number
  /** Milliseconds of the slowest one. */
  readonly maxMs: number
}

const REMEMBERED = 20
const SHOWN = 10

export class SlowStatements {
  #count = 0
  readonly #slowest = new Map<string, { count: number; maxMs: number }>()

  get count(): number {
    return this.#count
  }

  add(text: string, durationMs: number): void {
    this.#count++
    const statement = shownStatement(text)
    const known = this.#slowest.get(statement)
    if (known) {
      known.count++
      known.maxMs = Math.max(known.maxMs, durationMs)
      return
    }
    this.#slowest.set(statement, { count: 1, maxMs: durationMs })
    if (this.#slowest.size <= REMEMBERED) return
    const quickest = [...this.#slowest].reduce((least, one) => (one[1].maxMs < least[1].maxMs ? one : least))
    this.#slowest.delete(quickest[0])
  }

  /** Slowest first. */
  list(): SlowStatement[] {
    const all = [...this.#slowest].map(([statement, one]) => ({ statement, ...one }))
    return all.sort((a, b) => b.maxMs - a.maxMs).slice(0, SHOWN)
  }
}
