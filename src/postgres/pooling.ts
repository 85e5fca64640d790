/** Finds out whether something stands between us and the server that shares its sessions. */
import { setTimeout as delay } from 'node:timers/promises'
import { TestDbError } from '../errors.ts'
import type { Session } from './session.ts'
import { type ConnectionTarget, describeTarget } from './target.ts'

/** A connection that can be asked. */
export type Asked = Pick<Session, 'backendPid' | 'query'>

/**
 * A pooler in transaction mode can look like one in session mode by chance, above all while others use it: of two sessions it gives
 * the right one every second time. Steps of random number, so that no turn can agree with them; 2 ** -16 is once in 65,000 looks.
 */
const ROUNDS = 16
const MOST_STEPS = 3
/**
 * How long a look keeps one of the pooler's sessions while it waits for another (ms). Of several looks at once each may have one,
 * and none is left: each lets go.
 */
const HOLD_MS = 100

/**
 * In transaction mode a pooler gives each transaction another session: LISTEN hears nothing and two clients "hold" the same
 * advisory lock. It shows in that the first connection's backend changes, or serves the transaction of a second one.
 * Gives false where there is none, true for one that leaves each client its session. `open`: makes that second connection, where the first one is not the server's own.
 *
 * @throws TESTDB_SERVER_UNSUPPORTED
 */
export async function assertNoTransactionPooling(
  first: Asked,
  target: ConnectionTarget,
  open: () => Promise<Session>,
): Promise<boolean> {
  const backend = await backendOf(first)
  if (backend === first.backendPid) return false
  const second = await open()
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (let step = Math.floor(Math.random() * MOST_STEPS); step > 0; step--) await backendOf(second)
      await second.query('begin')
      const again = (await backendOf(second)) === backend ? undefined : backendOf(first)
      if (again) await Promise.race([again, delay(HOLD_MS, undefined, { ref: false })])
      await second.query('rollback')
      if ((await again) !== backend) throw transactionMode(target)
    }
  } finally {
    await second.close()
  }
  return true
}

function transactionMode(target: ConnectionTarget): TestDbError {
  const { host, port, user, database } = target
  return new TestDbError('TESTDB_SERVER_UNSUPPORTED', `${describeTarget(target)} is a pooler in transaction mode`, {
    details: { host, port, user, database },
  })
}

async function backendOf(session: Asked): Promise<number> {
  const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}
