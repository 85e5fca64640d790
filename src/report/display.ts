/** Two ways to show progress: one live line on a terminal, a plain line now and then anywhere else. */
import { createLogUpdate } from 'log-update'
import { createColors } from 'picocolors'
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

export function terminalDisplay(stream: NodeJS.WritableStream, colour: boolean): Display {
  const colours = createColors(colour)
  const paint = { plain: (text: string) => text, warning: colours.yellow, critical: colours.red }
  // Hiding the cursor would need exit handlers in the test runner's process, and a killed one would leave it hidden.
  const live = createLogUpdate(stream, { showCursor: true })
  let shown: string | undefined
  return {
    tickMs: 100,
    patienceMs: 200,
    line(text, tone = 'plain') {
      if (shown !== undefined) live.clear()
      stream.write(`${colours.cyan('testdb:')} ${paint[tone](oneLine(text))}\n`)
      if (shown !== undefined) live(shown)
    },
    progress(text, elapsed) {
      shown = `${colours.cyan('testdb ▸')} ${oneLine(text)} ${colours.dim(`· ${elapsed}`)}`
      live(shown)
    },
    clear() {
      if (shown !== undefined) live.clear()
      shown = undefined
    },
  }
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
