/** Loads pg-mem from the user's project, like every optional peer. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { TestDbError } from '../../errors.ts'

/** The parts of pg-mem that we touch, written down here because its types are only there when the user has installed it. */
export interface MemoryDb {
  readonly public: {
    none(sql: string): void
    registerFunction(definition: object): unknown
    getType(name: string): unknown
  }
  readonly adapters: { createPg(): { readonly Client: PgClass } }
  /** Only statements that have succeeded are told. */
  on(event: 'query', listener: (sql: string) => void): unknown
  backup(): Backup
  registerExtension(name: string, install: (schema: MemoryDb['public']) => void): unknown
}

export interface Backup {
  /** Throws when the schema was changed since. */
  restore(): void
}

/** What the adapter puts in the place of both `pg.Client` and `pg.Pool`. */
export type PgClass = new (...args: never[]) => PgClient

export interface PgClient {
  query(query: unknown, values?: unknown): Promise<QueryResult>
}

export interface QueryResult {
  readonly rows: Record<string, unknown>[]
  readonly rowCount: number | null
}

export interface PgMem {
  readonly version: string
  readonly newDb: () => MemoryDb
}

/** Throws `TESTDB_PEER_MISSING`. */
export function findPgMem(root: string): PgMem {
  const require = createRequire(join(root, 'package.json'))
  try {
    const { version } = require('pg-mem/package.json') as { version: string }
    const { newDb } = require('pg-mem') as Pick<PgMem, 'newDb'>
    return { version, newDb }
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message: string }
    if (code !== 'MODULE_NOT_FOUND' || !message.includes("'pg-mem")) throw error
    throw new TestDbError('TESTDB_PEER_MISSING', `pg-mem is not installed in ${root}. Install it: npm i -D pg-mem`, {
      details: { package: 'pg-mem', install: 'npm i -D pg-mem' },
    })
  }
}
