/**
 * Waiting out a server that is full for moments: a connection that is refused by its database's limit holds a slot of the server
 * until it is refused, so somebody who opens hundreds can keep others out for as long as that takes.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers/promises'
import { OWN_LIMIT, type Refusal, tellRefusal, withoutTelling } from './refusals.ts'
import { isSqlState } from './sqlstate.ts'

/** First and longest pause between two tries (ms): a refusal takes the server 5 to 20 ms. */
const PAUSE = { first: 10, longest: 250 } as const

/** Tells whether the server had no connection left for anybody; a limit of the database or the role is no reason to wait. */
export function isServerFull(error: unknown): boolean {
  return isSqlState(error, 'tooManyConnections') && !OWN_LIMIT.includes((error as { routine?: unknown }).routine)
}

/** Tries until the server is not full, or `patienceMs` have passed; then, and for any other reason, throws what `connect` threw. */
export async function whileServerIsFull<T>(patienceMs: number, connect: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  for (let pause: number = PAUSE.first; ; pause = Math.min(2 * pause, PAUSE.longest)) {
    try {
      // A refusal that passes is nobody's business.
      return await withoutTelling(connect)
    } catch (error) {
      if (!isServerFull(error)) throw error
      if (performance.now() - startedAt + pause > patienceMs) {
        await tellRefusal(error as Omit<Refusal, 'sqlstate'>)
        throw error
      }
    }
    // Not all who were refused at the same moment come back at the same moment.
    await setTimeout(pause * (0.5 + Math.random()))
  }
}
