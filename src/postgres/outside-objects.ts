/** What outlives every database: roles, databases, tablespaces. Which of those that were made are there. */
import type { Session } from './session.ts'

export interface OutsideObject {
  readonly kind: 'role' | 'database' | 'tablespace'
  readonly name: string
}

const MADE = /\bcreate\s+(role|user|group|database|tablespace)\s+("(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)/giu

/** Those that a text of SQL makes, by the names that are in it. */
export function outsideObjectsIn(text: string): OutsideObject[] {
  return [...text.matchAll(MADE)].map(([, kind = '', name = '']) => ({
    kind: kindOf(kind.toLowerCase()),
    name: name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase(),
  }))
}

const kindOf = (word: string): OutsideObject['kind'] => (word === 'database' || word === 'tablespace' ? word : 'role')

/** Those of them that are on the server. */
export async function stillThere(session: Session, objects: readonly OutsideObject[]): Promise<OutsideObject[]> {
  const { rows } = await session.query<OutsideObject>(
    `select distinct o.kind, o.name from unnest($1::text[], $2::text[]) as o(kind, name)
      where o.kind = 'role' and exists (select from pg_roles where rolname = o.name)
         or o.kind = 'database' and exists (select from pg_database where datname = o.name)
         or o.kind = 'tablespace' and exists (select from pg_tablespace where spcname = o.name)
      order by 1, 2`,
    [objects.map(({ kind }) => kind), objects.map(({ name }) => name)],
  )
  return rows
}
