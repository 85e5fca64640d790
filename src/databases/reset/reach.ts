/** Which part of a database a reset is for: all of it, or one schema beside those of others. */
import { companionOf } from '../../postgres/index.ts'

export interface Reach {
  /** The schema that what we install lies in; a plain word. */
  readonly home: string
  /** SQL that is true for `n`, a row of pg_namespace, when its objects belong to it. */
  readonly covers: string
  /** True when nobody else has any objects in the database. */
  readonly alone: boolean
}

export const ONE_DATABASE: Reach = {
  home: 'testdb',
  covers: `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'testdb')`,
  alone: true,
}

/** `schema`: a name that testdb has made. */
export const oneSchema = (schema: string): Reach => ({
  home: companionOf(schema),
  covers: `n.nspname = '${schema}'`,
  alone: false,
})
