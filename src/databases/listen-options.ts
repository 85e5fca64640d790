/** What is accepted by `db.listen()` and `db.waitForNotification()`. */
import { TestDbError } from '../errors.ts'
import type { WaitOptions } from './listen-contract.ts'

/** Names are cut by the server after so many bytes. */
const CHANNEL_BYTES = 63
/** A day: more is no limit, and more than a timer can count. */
const MOST_MS = 24 * 60 * 60_000

/** Throws `TESTDB_CONFIG_INVALID`. */
export function assertChannel(channel: unknown): void {
  const bytes = typeof channel === 'string' ? Buffer.byteLength(channel) : 0
  if (typeof channel === 'string' && channel.includes('\0'))
    throw invalid('channel', 'a name without a zero byte', 'one')
  if (bytes >= 1 && bytes <= CHANNEL_BYTES) return
  const got = typeof channel === 'string' ? `one of ${bytes} bytes` : `a value of type ${typeof channel}`
  throw invalid('channel', `a name of 1 to ${CHANNEL_BYTES} bytes`, got)
}

/** Throws `TESTDB_CONFIG_INVALID`. */
export function assertWait({ act, where, timeoutMs }: WaitOptions): void {
  for (const [name, value] of Object.entries({ act, where })) {
    if (value !== undefined && typeof value !== 'function')
      throw invalid(name, 'a function', `a value of type ${typeof value}`)
  }
  if (timeoutMs === undefined || (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MOST_MS)) return
  throw invalid('timeoutMs', `an integer from 1 to ${MOST_MS} (ms)`, String(timeoutMs))
}

const invalid = (name: string, expected: string, got: string): TestDbError =>
  new TestDbError('TESTDB_CONFIG_INVALID', `${name}: expected ${expected}, got ${got}`, {
    fixes: [
      'Correct the argument; docs/notify.md has all of them.',
      'Run `npx testdb doctor` to see which version of testdb this is.',
    ],
  })
