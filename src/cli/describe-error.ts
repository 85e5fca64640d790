/** Turns whatever was thrown into text for people. */
import { isTestDbError, messageOf, TestDbError } from '../errors.ts'
import { isConnectionLoss } from '../postgres/index.ts'

/** A refusal that has no code of its own: the message says everything. Exit code 1. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}

/** Stacks and causes are shown as their own texts and never inspected: objects of the driver carry connection data. */
export function describeError(error: unknown, { stack }: { readonly stack: boolean }): string {
  if (stack && error instanceof Error) return withCauses(error)
  const message = messageOf(error) || 'unknown reason'
  if (isTestDbError(error) || error instanceof Refusal) return message
  // In the middle of connecting the driver says so in words only.
  if (isConnectionLoss(error)) {
    return new TestDbError('TESTDB_SERVER_LOST', `the server has ended a connection of this command: ${message}`)
      .message
  }
  return `testdb failed unexpectedly: ${message}\nSet TESTDB_LOG=debug to see where.`
}

function withCauses(error: Error): string {
  const own = error.stack ?? error.message
  return error.cause instanceof Error ? `${own}\ncaused by ${withCauses(error.cause)}` : own
}
