/** The SQLSTATE codes that testdb reacts to, by the names of PostgreSQL's appendix A. */
export const SQLSTATE = {
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  invalidCatalogName: '3D000',
  undefinedTable: '42P01',
  undefinedFunction: '42883',
  duplicateDatabase: '42P04',
  uniqueViolation: '23505',
  duplicateObject: '42710',
  wrongObjectType: '42809',
  insufficientPrivilege: '42501',
  objectInUse: '55006',
  objectNotInPrerequisiteState: '55000',
  lockNotAvailable: '55P03',
  deadlockDetected: '40P01',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
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
