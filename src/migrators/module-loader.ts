/**
 * Loads the user's scripts (knexfiles, migrations, seeds) in any module format, always with their current content.
 *
 * JavaScript is loaded by Node itself, as the migration tool would. TypeScript goes through jiti on every Node version: Node 20
 * can not strip types, and later ones refuse what migrations are full of (`import { Knex } from 'knex'` of a type, enums,
 * imports without extension).
 *
 * In watch mode the same process loads changed files again, and a stale helper would be baked into a template that has the new
 * hash. So: CommonJS and jiti modules sit in `require.cache`; what our loads put there is dropped when any of it has changed.
 * Node can not forget an ES module, so one that an earlier loader imported is evaluated by jiti instead.
 */
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Jiti } from 'jiti'

export interface ModuleLoader {
  /** The module's exports: a namespace for ES modules, `module.exports` for CommonJS. */
  load(file: string): Promise<unknown>
}

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx'])
const nodeRequire = createRequire(import.meta.url)

/** Files that our loads put into `require.cache`, with their state then. The cache belongs to the process, so does this. */
const tracked = new Map<string, string>()
/** ES modules that Node has imported for an earlier loader and for this one. */
const importedBefore = new Set<string>()

/** A loader sees one state of the files: make a new one for each load or run. */
export function createModuleLoader(root: string): ModuleLoader {
  forgetChanged()
  const stale = new Set(importedBefore)
  const types = new Map<string, boolean>()
  const jitis = new Map<boolean, Promise<Jiti>>()
  const transpiler = (tsconfigPaths = false): Promise<Jiti> => {
    const made =
      jitis.get(tsconfigPaths) ??
      import('jiti').then(({ createJiti }) =>
        createJiti(join(root, 'testdb.js'), { interopDefault: false, tsconfigPaths }),
      )
    jitis.set(tsconfigPaths, made)
    return made
  }

  /** Path aliases of tsconfig.json only when an import is not found: jiti reads it again for each module, and may refuse it. */
  async function loadTypeScript(file: string): Promise<unknown> {
    try {
      return await (await transpiler()).import(file)
    } catch (error) {
      if (codeOf(error) !== 'MODULE_NOT_FOUND') throw error
      try {
        return await (await transpiler(true)).import(file)
      } catch {
        throw error
      }
    }
  }

  async function loadByFormat(file: string): Promise<unknown> {
    if (TYPESCRIPT.has(extname(file))) return loadTypeScript(file)
    if (!isEsModule(file, types)) return withFallback(file, async () => nodeRequire(file))
    if (stale.has(file)) return reloadEsModule(file)
    importedBefore.add(file)
    return withFallback(file, () => import(pathToFileURL(file).href))
  }

  /** Projects that run their tools through a TypeScript loader have JavaScript that only such a loader understands. */
  async function withFallback(file: string, native: () => Promise<unknown>): Promise<unknown> {
    try {
      return await native()
    } catch (error) {
      if (!neverEvaluated(error)) throw error
      try {
        return await (await transpiler()).import(file)
      } catch {
        throw error
      }
    }
  }

  async function reloadEsModule(file: string): Promise<unknown> {
    try {
      return (await transpiler())(file)
    } catch (error) {
      // A top-level await can only run as an ES module; its own imports stay as they were first loaded.
      if (!(error instanceof SyntaxError)) throw error
      return import(`${pathToFileURL(file).href}?testdb=${encodeURIComponent(stateOf(file))}`)
    }
  }

  return {
    async load(file) {
      const done = watchCache()
      try {
        return await loadByFormat(file)
      } finally {
        done()
      }
    },
  }
}

/** Loads that are under way, in any loader, and what the cache held before the first of them. */
let underWay = 0
let before = new Set<string>()

/** Looks once around all loads that overlap: Knex starts a thousand together, and each look costs as much as the cache is long. */
function watchCache(): () => void {
  if (underWay++ === 0) before = new Set(Object.keys(nodeRequire.cache))
  return () => {
    if (--underWay > 0) return
    for (const key of Object.keys(nodeRequire.cache)) {
      if (!before.has(key) && !key.includes(`${sep}node_modules${sep}`)) tracked.set(key, stateOf(key))
    }
  }
}

/** All or nothing: modules that did not change hold on to those that did. */
function forgetChanged(): void {
  const changed = [...tracked].some(([file, state]) => stateOf(file) !== state)
  if (!changed) return
  for (const file of tracked.keys()) delete nodeRequire.cache[file]
  tracked.clear()
}

function stateOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats ? `${stats.mtimeMs}-${stats.size}` : 'gone'
}

/** Node could not read the module, so none of it has run and trying again repeats nothing. */
function neverEvaluated(error: unknown): boolean {
  if (error instanceof SyntaxError) return true
  return ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE', 'ERR_UNKNOWN_FILE_EXTENSION'].includes(codeOf(error) ?? '')
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined
}

/** Node's rule: the extension, else the `type` of the nearest package.json. */
function isEsModule(file: string, types: Map<string, boolean>): boolean {
  const extension = extname(file)
  if (extension !== '.js') return extension === '.mjs'
  const folder = dirname(file)
  const known = types.get(folder) ?? isModuleFolder(folder)
  types.set(folder, known)
  return known
}

function isModuleFolder(folder: string): boolean {
  try {
    const { type } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { type?: unknown }
    return type === 'module'
  } catch {
    const parent = dirname(folder)
    return parent !== folder && isModuleFolder(parent)
  }
}
