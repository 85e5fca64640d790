/** Tells scripts, which have no other progress, that their run waits for connections. Loaded by `testdb` itself, so nothing of a terminal is. */
import { type Events, subscribe } from '../events.ts'
import { plainDisplay } from './display.ts'
import { formatDuration } from './format.ts'

/** Only tells that a run waits for its connections, a plain line each few seconds, until the returned function is called. */
export function showWaiting(stream: NodeJS.WritableStream = process.stderr): () => void {
  const display = plainDisplay(stream, 3_000)
  return subscribe('budget.waiting', (event) => {
    if (event.elapsedMs >= display.patienceMs) display.progress(describeWaiting(event), formatDuration(event.elapsedMs))
  })
}

export const describeWaiting = ({ needed, free, holders }: Events['budget.waiting']): string =>
  `waiting for ${needed} connections, ${free} are free · ${holders.join('; ')}`
