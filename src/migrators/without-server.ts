/** The fields of a context that lead to a server, where there is none. */
import { TestDbError } from '../errors.ts'
import type { ConnectionTarget } from '../postgres/index.ts'

interface Place {
  readonly url: string
  readonly connection: ConnectionTarget
}

/** Reading `url` or `connection` throws `TESTDB_PGMEM_LIMIT`; a field that nobody reads does no harm. */
export function withoutServer<T extends object>(context: T): T & Place {
  const refuse = (name: string) => ({
    enumerable: false,
    get(): never {
      throw new TestDbError(
        'TESTDB_PGMEM_LIMIT',
        `\`${name}\` was read, and with pg-mem there is no server to connect to`,
      )
    },
  })
  return Object.defineProperties(context, { url: refuse('url'), connection: refuse('connection') }) as T & Place
}
