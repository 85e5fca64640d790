/**
 * Waiting out a server that is full for moments: a connection that is refused by its database's limit holds a slot of the server
 * until it is refused, so somebody who opens hundreds can keep others out for as long as that takes.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers/promises'
import { isSqlState } from './sqlstate.ts'

/** First and longest pause between two tries (ms): a refusal takes the server 5 to 20 ms. */
const PAUSE = { first: 10, longest: 250 } as const

/** The functions of the server that refuse because of a database's or a role's own limit; their texts may be translated. */
const OWN_LIMIT = ['CheckMyDatabase', 'InitializeSessionUserId']

/** Tells whether the server had no connection left for anybody; a limit of the database or the role is no reason to wait. */
export function isServerFull(error: unknown): boolean {
  return isSqlState(error, 'tooManyConnections') && !OWN_LIMIT.includes((error as { routine?: string }).routine ?? '')
}

/** Tries until the server is not full, or `patienceMs` have passed; then, and for any other reason, throws what `connect` threw. */
export async function whileServerIsFull<T>(patienceMs: number, connect: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  for (let pause: number = PAUSE.first; ; pause = Math.min(2 * pause, PAUSE.longest)) {
    try {
      return await connect()
    } catch (error) {
      if (!isServerFull(error) || performance.now() - startedAt + pause > patienceMs) throw error
    }
    // Not all who were refused at the same moment come back at the same moment.
    await setTimeout(pause * (0.5 + Math.random()))
  }
}
