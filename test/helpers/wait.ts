/** Waiting for something to be true, without sleeping and hoping: with a deadline, and with what happened when it is missed. */
import { type EventName, type Events, subscribe } from '../../src/events.ts'

const NAMES = [
  'leader.elected',
  'leader.waiting',
  'migration.started',
  'template.built',
  'template.reused',
  'template.failed',
  'database.created',
  'database.acquired',
  'database.reset',
  'database.released',
  'database.pruned',
  'warning.raised',
] as const satisfies readonly EventName[]

const recent: string[] = []
for (const name of NAMES) {
  subscribe(name, (payload) => {
    recent.push(`${new Date().toISOString().slice(17)} ${name} ${JSON.stringify(payload).slice(0, 200)}`)
    if (recent.length > 30) recent.shift()
  })
}

const missed = (what: string, timeoutMs: number): Error =>
  new Error(`not within ${timeoutMs} ms: ${what}\nrecent events:\n  ${recent.join('\n  ') || 'none'}`)

/** Polls until `check` gives something true. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T> | T,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw missed(what, timeoutMs)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The promise's value, or an error that says what was waited for. */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs = 15_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(missed(what, timeoutMs)), timeoutMs)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Collects the events of one name until the `using` scope ends. */
export function collect<N extends EventName>(name: N): { readonly events: Events[N][] } & Disposable {
  const events: Events[N][] = []
  const stop = subscribe(name, (payload) => void events.push(payload))
  return { events, [Symbol.dispose]: stop }
}

/** The error that a promise is rejected with; fails when it is not. */
export async function errorOf(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; details?: Record<string, unknown> }> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('expected an error, and there was none')
}
