/** Progress on a terminal: one live line. */
import { createLogUpdate } from 'log-update'
import { createColors } from 'picocolors'
import type { Display } from './display.ts'
import { oneLine } from './format.ts'

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
