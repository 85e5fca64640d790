/** The copies of a package that a process has loaded: testdb and the project may have different versions. */
import { createRequire } from 'node:module'

/** Prototypes of the classes that files with this ending export. */
export function loadedPrototypes(ending: string): object[] {
  const { cache } = createRequire(import.meta.url)
  return Object.keys(cache).flatMap((file) => {
    if (!file.endsWith(ending)) return []
    const exported: unknown = cache[file]?.exports
    return typeof exported === 'function' ? [exported.prototype as object] : []
  })
}

/** A class may be made anew from the one that has the method. */
export function ownerOf(prototype: object, method: string): object | undefined {
  let owner: object | null = prototype
  while (owner && !Object.hasOwn(owner, method)) owner = Object.getPrototypeOf(owner)
  return owner ?? undefined
}
