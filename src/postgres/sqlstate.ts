/** The SQLSTATE codes that testdb reacts to, by the names of PostgreSQL's appendix A. */
export const SQLSTATE = {
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  invalidCatalogName: '3D000',
  undefinedTable: '42P01',
  undefinedSchema: '3F000',
  undefinedFunction: '42883',
  duplicateDatabase: '42P04',
  duplicateTable: '42P07',
  uniqueViolation: '23505',
  duplicateObject: '42710',
  wrongObjectType: '42809',
  insufficientPrivilege: '42501',
  objectInUse: '55006',
  objectNotInPrerequisiteState: '55000',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  deadlockDetected: '40P01',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
  protocolViolation: '08P01',
  tooManyConnections: '53300',
  diskFull: '53100',
  // Also "tuple concurrently updated", which catalogs answer instead of waiting for each other.
  internalError: 'XX000',
} as const

/** The SQLSTATE of anything that was thrown, if it has one. */
export function sqlstateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Tells whether an error is one of the named Postgres errors. */
export function isSqlState(error: unknown, ...names: readonly (keyof typeof SQLSTATE)[]): boolean {
  const state = sqlstateOf(error)
  return names.some((name) => SQLSTATE[name] === state)
}

/** Errors that are the last thing a backend says. Without this a caller would see the loss as a failed statement first. */
export function endsConnection(error: unknown): boolean {
  return /^(57P0|08|25P0[34])/.test(sqlstateOf(error) ?? '')
}

/**
 * Tells whether an error, or what it was caused by, is the end of a connection: the server stopped or crashed, or somebody ended
 * the session. It says nothing about the statement that was running. Five levels are more than anybody wraps and end a cycle.
 */
export function isConnectionLoss(error: unknown): boolean {
  let current = error
  // Not `instanceof Error`: in Jest's sandbox the errors of Node itself come from another realm.
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    if (/^(57P0[123]|08...|E(CONNRESET|CONNREFUSED|PIPE)|TESTDB_SERVER_LOST)$/.test(sqlstateOf(current) ?? ''))
      return true
    // The socket of a server that has gone.
    const { code, syscall } = current as { readonly code?: unknown; readonly syscall?: unknown }
    if (code === 'ENOENT' && syscall === 'connect') return true
    // What the driver says without a code, of the statement that was running and of those after it.
    const { message, cause } = current as { readonly message?: unknown; readonly cause?: unknown }
    if (/Connection terminated|connection error and is not queryable/.test(String(message))) return true
    current = cause
  }
  return false
}
