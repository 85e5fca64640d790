/** Optional peers of the application, loaded when they are needed. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { TestDbError } from '../errors.ts'

/** Of the project, else of whoever has installed us. Throws `TESTDB_PEER_MISSING`; `what` needs it. */
export function loadPeer(name: string, what: string, install: string): unknown {
  let cause: unknown
  for (const place of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return createRequire(place)(name)
    } catch (error) {
      cause = error
    }
  }
  throw new TestDbError('TESTDB_PEER_MISSING', `${what} the package "${name}": ${install}`, { cause })
}
