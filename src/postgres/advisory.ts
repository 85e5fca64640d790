/**
 * Advisory locks: what a key is in SQL, and testdb's own session-level locks in the two-key form.
 * They are per database and end with the session. `pg_locks` shows them to every role as `database`, `classid`, `objid` and
 * `objsubid`: 2 for two keys, 1 for one of 64 bits, whose halves are `classid` and `objid`.
 */
import { createHash } from 'node:crypto'
import { TestDbError } from '../errors.ts'
import type { Session } from './session.ts'

/** A text, a whole number (safe integer or 64-bit bigint), or a pair of 32-bit integers; pairs are a space of their own. */
export type LockKey = string | bigint | number | readonly [number, number]

/** A key that was looked at; equal locks have equal `arguments`. */
export interface SqlLockKey {
  /** For people: as it was given. */
  readonly shown: string
  /** What stands between the brackets of `pg_advisory_lock()`: nothing but digits, signs and casts, so it is safe in a text. */
  readonly arguments: string
  /** Columns of `pg_locks`. */
  readonly tag: { readonly classid: number; readonly objid: number; readonly objsubid: 1 | 2 }
}

/**
 * The SQL form of a key. A text becomes the first 8 bytes of its SHA-256, as a signed number; two texts that meet there, or
 * a text and a number, wait for each other without need and nothing worse.
 *
 * @throws TESTDB_LOCK_KEY_INVALID
 */
export function sqlLockKey(key: LockKey): SqlLockKey {
  if (typeof key === 'string' && key !== '') {
    return oneKey(createHash('sha256').update(key).digest().readBigInt64BE(0), JSON.stringify(key))
  }
  if (typeof key === 'bigint' && BigInt.asIntN(64, key) === key) return oneKey(key, `${key}`)
  if (typeof key === 'number' && Number.isSafeInteger(key)) return oneKey(BigInt(key), `${key}`)
  if (Array.isArray(key) && key.length === 2 && key.every(isInt4)) {
    const [first, second] = key as [number, number]
    return {
      shown: `[${first}, ${second}]`,
      // Quoted: without quotes the sign would come after the cast, and the least number is out of range without its sign.
      arguments: `'${first | 0}'::int, '${second | 0}'::int`,
      tag: { classid: first >>> 0, objid: second >>> 0, objsubid: 2 },
    }
  }
  throw new TestDbError('TESTDB_LOCK_KEY_INVALID', `expected a key for a lock, got ${describeKey(key)}`)
}

function oneKey(key: bigint, shown: string): SqlLockKey {
  const half = (bits: bigint): number => Number(BigInt.asUintN(32, bits))
  return { shown, arguments: `'${key}'::bigint`, tag: { classid: half(key >> 32n), objid: half(key), objsubid: 1 } }
}

const isInt4 = (value: unknown): boolean => Number.isInteger(value) && ((value as number) | 0) === value

function describeKey(key: unknown): string {
  if (key === '') return 'an empty text'
  if (Array.isArray(key)) return `an array of ${key.length} (a pair is two integers of 32 bits)`
  if (typeof key === 'bigint') return `${key}n, which does not fit in 64 bits`
  return typeof key === 'number'
    ? `${key}, which is no safe integer`
    : key === null
      ? 'null'
      : `a value of type ${typeof key}`
}

/** First key of each lock. The base is ASCII "tdb" followed by a number, so that it meets nobody's hand-picked small keys. */
const BASE = 0x74_64_62_00
export const LOCK_SPACE = {
  /** In the maintenance database; second key: template id. Held by the leader while it builds. */
  build: BASE + 1,
  /** In the maintenance database; second key: run id. Held as long as the run lives. */
  run: BASE + 2,
  /** In a leased database; second key 1. Held by the worker that has the lease. */
  lease: BASE + 3,
  /** In the maintenance database; second key: see `server/embedded`. Who uses and who supervises the embedded server. */
  server: BASE + 4,
  /** In the maintenance database; second key 1. Held for moments, while the registry or the role is created. */
  setup: BASE + 5,
  /** In the maintenance database; second key: database id. Held while a clone is made, and as long as the server goes on with it. */
  clone: BASE + 6,
  /** In the maintenance database; second key: template id. Held by the follower that leads if the leader dies. */
  next: BASE + 7,
  /** In the maintenance database; second key: schema id. Held by whoever makes, uses or drops that schema. */
  schema: BASE + 8,
} as const

export type LockSpace = keyof typeof LOCK_SPACE

/** Takes the lock if it is free; never waits. */
export async function tryLock(
  session: Session,
  space: LockSpace,
  id: number,
  mode: 'exclusive' | 'shared' = 'exclusive',
): Promise<boolean> {
  const call = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
  const key = sqlLockKey([LOCK_SPACE[space], id])
  const { rows } = await session.query<{ locked: boolean }>(`select ${call}(${key.arguments}) as locked`)
  return rows[0]?.locked === true
}

export async function unlock(
  session: Session,
  space: LockSpace,
  id: number,
  mode: 'exclusive' | 'shared' = 'exclusive',
): Promise<void> {
  const call = mode === 'shared' ? 'pg_advisory_unlock_shared' : 'pg_advisory_unlock'
  await session.query(`select ${call}(${sqlLockKey([LOCK_SPACE[space], id]).arguments})`)
}
