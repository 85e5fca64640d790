/** Quoting and naming. Every identifier in SQL text goes through `ident`, every value that can not be a parameter through `literal`. */
import { createHash } from 'node:crypto'
import pg from 'pg'

export const ident = (name: string): string => pg.escapeIdentifier(name)
export const literal = (value: string): string => pg.escapeLiteral(value)

/** A quoted `schema.name`, or only the name when there is no schema. */
export function qualified(schema: string | undefined, name: string): string {
  return schema === undefined ? ident(name) : `${ident(schema)}.${ident(name)}`
}

/** Postgres cuts names after 63 bytes without an error, so two long names can become one (NAMEDATALEN - 1). */
const NAME_BYTES = 63

/**
 * Makes a lower-case ASCII word of any text, for use inside a database name; a text that had to be changed, or that looks
 * as if it had been, keeps a short hash of the original, so that two different texts do not become one word.
 * A word has no `__` in it.
 */
export function slug(text: string, maxLength = 20): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
  const looksHashed = /(^|_)[0-9a-f]{6}$/.test(plain)
  if (plain !== '' && plain === text && plain.length <= maxLength && !looksHashed) return plain
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 6)
  const head = plain.slice(0, maxLength - 7).replace(/_+$/, '')
  return head === '' ? hash : `${head}_${hash}`
}

/** Joins the parts of a database name and refuses one that Postgres would cut. */
export function databaseName(...parts: readonly (string | number)[]): string {
  const name = ['testdb', ...parts].join('_')
  if (Buffer.byteLength(name) > NAME_BYTES)
    throw new Error(`bug: database name longer than ${NAME_BYTES} bytes: ${name}`)
  return name
}
