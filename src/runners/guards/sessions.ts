/** The guards that ask the server what its sessions are at: transactions and locks that were left, writes that go on. */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers/promises'
import type { WorkerDatabase } from '../../databases/database.ts'
import { advisoryLock, holdsLocks } from '../../guards/advisory-lock.ts'
import { idleInTransaction, sitsInTransaction } from '../../guards/idle-in-transaction.ts'
import { stillWriting } from '../../guards/late-write.ts'
import {
  endLeftovers,
  expectEnd,
  giveBack,
  knownClients,
  type Leftover,
  openPools,
  type Session,
  takeLeftovers,
} from '../../postgres/index.ts'
import type { Place } from './places.ts'
import type { Verdict } from './verdict.ts'

/** How long nothing may happen in a transaction until it is one that was left (ms): what is just being ended is gone by then. */
const STILL_MS = 50
/** A transaction in which something goes on is looked at so often; then it is left to the reset. */
const LOOKS = 8

/** What was there before a test, and what was told: neither is a test's. */
export class KnownLeftovers {
  readonly #before = new Set<string>()
  readonly #told = new Set<string>()

  /** `of`: a test does not answer for what hooks have left, a file does. */
  isNew(key: string, of: 'test' | 'file'): boolean {
    return !this.#told.has(key) && (of === 'file' || !this.#before.has(key))
  }

  tell(keys: readonly string[]): void {
    for (const key of keys) this.#told.add(key)
  }

  note(leftovers: readonly Leftover[]): void {
    for (const one of leftovers) for (const key of keysOf(one)) this.#before.add(key)
  }
}

const transactionKey = ({ pid, start, transaction }: Leftover): string => `transaction ${pid} ${start} ${transaction}`
const lockKey = ({ pid, start }: Leftover, key: string): string => `lock ${pid} ${start} ${key}`
const keysOf = (one: Leftover): string[] => [transactionKey(one), ...one.locks.map(({ key }) => lockKey(one, key))]

export interface Looking {
  readonly database: WorkerDatabase
  readonly session: Session
  readonly known: KnownLeftovers
  readonly of: 'test' | 'file'
  readonly who: string
  /** Somebody may hold advisory locks; false when it was found that nobody does. */
  readonly locking: Locking
}

/** Until the next statement that may take one. */
export interface Locking {
  mayLock: boolean
}

/** Raises what it finds, and ends the sessions of what is an error. True when there was a session that is not idle. */
export async function lookAtSessions(verdict: Verdict, looking: Looking): Promise<boolean> {
  const { session, known, who, of } = looking
  const first = await mine(looking)
  if (first.length === 0) return false
  verdict.raise('lateWrite', of === 'test' ? stillWriting(who, first.filter(writesOn)) : [])
  const left = await whatStays(first, looking)
  const sitting = left.filter(sitsInTransaction)
  const locking = left.filter(({ locks }) => locks.length > 0 && !sitting.some((one) => one.locks === locks))
  verdict.raise('idleInTransaction', idleInTransaction(who, sitting))
  verdict.raise('advisoryLock', advisoryLock(who, locking))
  known.tell(left.flatMap(keysOf))
  // Also where it is only a warning: the reset may have to end them.
  if (verdict.levelOf('idleInTransaction') !== 'off') expectEnd(sitting)
  const ended = [
    ...(verdict.levelOf('idleInTransaction') === 'error' ? sitting : []),
    ...(verdict.levelOf('advisoryLock') === 'error' ? locking : []),
  ]
  expectEnd(ended)
  if (ended.length > 0) await endLeftovers(session, ended)
  if (of === 'test') giveBackEnded(looking, ended)
  return first.some(({ state }) => state !== 'idle')
}

/** `pool.end()` waits for clients that were not given back; whose session was ended is of no use to the test that has taken it. */
function giveBackEnded({ database, session }: Looking, ended: readonly Leftover[]): void {
  for (const pool of ended.length === 0 ? [] : openPools(database.name, session.target.port)) {
    for (const { client, notes } of pool.taken) {
      const isTests = (notes.takenBy as Place | undefined)?.test !== undefined
      if (isTests && ended.some(({ pid }) => pid === client.processID)) giveBack(pool, client)
    }
  }
}

/** What there is before a test: hooks have made it, and it is theirs. */
export async function noteSessions({ known, ...looking }: Omit<Looking, 'who' | 'of'>): Promise<void> {
  known.note(await mine(looking))
}

/** Its query is at work; one that only ends the transaction is what the test should have waited for, and no write. */
const writesOn = ({ state, writes, query }: Leftover): boolean =>
  state === 'active' && writes && !/^\s*(commit|end|rollback|abort)\b/i.test(query)

/** With only the locks that are new. */
async function whatStays(first: readonly Leftover[], looking: Looking): Promise<Leftover[]> {
  const { known, of } = looking
  const suspicious = (all: readonly Leftover[]): Leftover[] =>
    all.flatMap((one) => {
      if (sitsInTransaction(one)) return known.isNew(transactionKey(one), of) ? one : []
      const locks = holdsLocks(one) ? one.locks.filter(({ key }) => known.isNew(lockKey(one, key), of)) : []
      return locks.length > 0 ? { ...one, locks } : []
    })
  let before = suspicious(first)
  for (let look = 1; look <= LOOKS && before.length > 0; look++) {
    await setTimeout(STILL_MS)
    const now = suspicious(await mine(looking))
    const still = now.filter((one) => before.some(({ pid, changed }) => pid === one.pid && changed === one.changed))
    if (still.length === now.length) return still
    before = now
  }
  return []
}

/** Those that work in this database of the worker. */
async function mine({
  database,
  session,
  locking,
}: Pick<Looking, 'database' | 'session' | 'locking'>): Promise<Leftover[]> {
  const known = new Set(knownClients().map(({ processID }) => processID))
  let asked = false
  const all = await takeLeftovers(session, (pids) => {
    // What other drivers and other processes are asked is not heard.
    asked = locking.mayLock || pids.some((pid) => !known.has(pid))
    return asked
  })
  if (asked) locking.mayLock = all.some(({ locks }) => locks.length > 0)
  if (all.length === 0) return all
  const { application_name: name } = database.connection
  // What `db` does is one transaction then, and rolled back by the reset.
  if (database.lease?.strategy.name === 'rollback') return all.filter(({ applicationName }) => applicationName !== name)
  // With a schema for each worker the others' sessions are in the same database, and have other names.
  if (database.lease && database.lease.name !== database.name)
    return all.filter(({ applicationName }) => applicationName === name)
  if (database.lease) return all
  return all.filter(({ pid }) => known.has(pid))
}
