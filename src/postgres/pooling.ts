/** Finds out whether something stands between us and the server that shares its sessions. */
import { TestDbError } from '../errors.ts'
import type { Session } from './session.ts'
import { type ConnectionTarget, describeTarget } from './target.ts'

/** A connection that can be asked. */
export type Asked = Pick<Session, 'backendPid' | 'query'>

/**
 * In transaction mode a pooler gives each transaction another session: LISTEN hears nothing and two clients "hold" the same
 * advisory lock. It shows in that the backend inside a transaction is the same as before it only by chance, or differs after.
 * `open`: makes a second connection, where the first one is not the server's own.
 *
 * @throws TESTDB_SERVER_UNSUPPORTED
 */
export async function assertNoTransactionPooling(
  first: Asked,
  target: ConnectionTarget,
  open: () => Promise<Session>,
): Promise<void> {
  const before = await backendOf(first)
  if (before === first.backendPid) return
  const second = await open()
  try {
    await second.query('begin')
    const other = await backendOf(second)
    const after = await backendOf(first)
    await second.query('rollback')
    if (before !== other && before === after) return
  } finally {
    await second.close()
  }
  const { host, port, user, database } = target
  throw new TestDbError('TESTDB_SERVER_UNSUPPORTED', `${describeTarget(target)} is a pooler in transaction mode`, {
    details: { host, port, user, database },
  })
}

async function backendOf(session: Asked): Promise<number> {
  const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}
