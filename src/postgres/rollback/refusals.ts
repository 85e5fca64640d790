/** Errors in the words of the server, for what it would refuse if each client had a connection of its own. */
import pg from 'pg'
import { sqlstateOf } from '../sqlstate.ts'

/** True for what the server said, which aborts a transaction; the driver's own complaints do not reach it. */
export const isRefusal = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'severity' in error && sqlstateOf(error) !== undefined

/** What the server would say. */
export function serverError(code: string, message: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { code, severity: 'ERROR' })
}

export const undoneError = (): pg.DatabaseError =>
  serverError(
    '40000',
    `this transaction was rolled back together with one that began before it on another connection of db: with reset: 'rollback' they all are one connection`,
  )
