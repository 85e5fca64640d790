/** Two ways to show progress: one live line on a terminal (terminal-display.ts), a plain line now and then anywhere else. */
import { oneLine } from './format.ts'

export type Tone = 'plain' | 'warning' | 'critical'

export interface Display {
  /** A line that stays. */
  line(text: string, tone?: Tone): void
  /** What is going on right now, for how long already. Called often; decides itself what becomes visible. */
  progress(text: string, elapsed: string): void
  /** What went on has ended. */
  clear(): void
  /** How often `progress` should be called. */
  readonly tickMs: number
  /** Work that is shorter than this is not shown. */
  readonly patienceMs: number
}

export function plainDisplay(stream: NodeJS.WritableStream, intervalMs: number): Display {
  let printedAt = Number.NEGATIVE_INFINITY
  return {
    tickMs: Math.min(250, intervalMs),
    patienceMs: 1_000,
    line(text) {
      stream.write(`testdb: ${oneLine(text)}\n`)
    },
    progress(text, elapsed) {
      const now = performance.now()
      if (now - printedAt < intervalMs) return
      printedAt = now
      stream.write(`testdb: ${oneLine(text)} · ${elapsed}\n`)
    },
    clear() {
      printedAt = Number.NEGATIVE_INFINITY
    },
  }
}
