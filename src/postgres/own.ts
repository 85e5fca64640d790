/** Marks what testdb itself opens in a process of the user, so that nobody takes it for theirs. */

/** A symbol of all copies of this file: the driver may be one for several of them. */
const OWN = Symbol.for('testdb.own')

export function markOwn<T extends object>(thing: T): T {
  Object.defineProperty(thing, OWN, { value: true })
  return thing
}

export const isOwn = (thing: object): boolean => OWN in thing
